/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what every checkpoint store has in common. checkpoint_save() numbers the checkpoint and
 * watches over its order before the store sees it; a store only keeps and finds.
 */
#pragma once

#include "walferry/checkpoint/checkpoint.h"

struct checkpoint_store_ops {
    const char *name;
    void (*close)(struct checkpoint_store *store);
    MUST_USE enum checkpoint_found (*load)(struct checkpoint_store *store,
                                           struct checkpoint *ret_checkpoint, struct err *err);
    MUST_USE bool (*save)(struct checkpoint_store *store, const struct checkpoint *checkpoint,
                          struct err *err);
};

/* First member of every store. */
struct checkpoint_store {
    const struct checkpoint_store_ops *ops;
    bool looked;              /* `newest` is what the store held when it was first asked */
    bool known;               /* `newest` is meaningful */
    struct checkpoint newest; /* loaded, or offered for saving, whatever became of it */
};
