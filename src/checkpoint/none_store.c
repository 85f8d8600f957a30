/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store.h"
#include "walferry/base/assert.h"

struct none_store {
    struct checkpoint_store store;
    bool saved;
    struct checkpoint checkpoint;
};

static struct none_store *none_of(struct checkpoint_store *store)
{
    return (struct none_store *)(void *)store;
}

static void none_close(struct checkpoint_store *store)
{
    free(none_of(store));
}

static enum checkpoint_found none_load(struct checkpoint_store *store,
                                       struct checkpoint *ret_checkpoint, UNUSED struct err *err)
{
    const struct none_store *none = none_of(store);
    if (!none->saved)
        return CHECKPOINT_ABSENT;
    *ret_checkpoint = none->checkpoint;
    return CHECKPOINT_FOUND;
}

static bool none_save(struct checkpoint_store *store, const struct checkpoint *checkpoint,
                      UNUSED struct err *err)
{
    struct none_store *none = none_of(store);
    none->checkpoint = *checkpoint;
    none->saved = true;
    return true;
}

static const struct checkpoint_store_ops none_ops = {
    .name = "none",
    .close = none_close,
    .load = none_load,
    .save = none_save,
};

bool checkpoint_none_open(struct checkpoint_store **ret_store, struct err *err)
{
    struct none_store *none = calloc(1, sizeof(*none));
    if (none == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the checkpoint");
    none->store.ops = &none_ops;
    *ret_store = &none->store;
    return true;
}

void checkpoint_none_set(struct checkpoint_store *store, const struct checkpoint *checkpoint)
{
    struct none_store *none = none_of(store);
    ASSERT(store->ops == &none_ops);
    none->checkpoint = *checkpoint;
    none->saved = true;
    store->newest = *checkpoint;
    store->known = true;
    store->looked = true;
}
