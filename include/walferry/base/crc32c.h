/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c: the Castagnoli checksum (RFC 3720, appendix B.4), for the checkpoint. crc32c of the
 * nine bytes "123456789" is 0xE3069283.
 */
#pragma once

#include "walferry/base/bytes.h"

uint32_t crc32c(struct bytes bytes);
