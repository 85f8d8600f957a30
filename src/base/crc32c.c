/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/crc32c.h"

/* The remainder of each half byte by the reflected polynomial 0x82F63B78. Half bytes: what is
 * summed here is a few hundred bytes a second, and sixteen entries can be checked by eye. */
static const uint32_t remainders[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

uint32_t crc32c(struct bytes bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.ptr[i];
        crc = crc >> 4 ^ remainders[crc & 0xF];
        crc = crc >> 4 ^ remainders[crc & 0xF];
    }
    return ~crc;
}
