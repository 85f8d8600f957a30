/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <string.h>

#include "walferry/base/assert.h"

static bool same_lineage(const struct checkpoint *a, const struct checkpoint *b)
{
    return a->system_id == b->system_id && a->timeline == b->timeline &&
           strcmp(a->pipeline, b->pipeline) == 0 && strcmp(a->slot, b->slot) == 0;
}

void checkpoint_close(struct checkpoint_store *store)
{
    if (store != NULL)
        store->ops->close(store);
}

enum checkpoint_found checkpoint_load(struct checkpoint_store *store,
                                      struct checkpoint *ret_checkpoint, struct err *err)
{
    struct checkpoint checkpoint;
    enum checkpoint_found found = store->ops->load(store, &checkpoint, err);
    store->looked = true;
    if (found != CHECKPOINT_FOUND && found != CHECKPOINT_PREVIOUS)
        return found;
    if (!store->known || checkpoint.sequence > store->newest.sequence) {
        store->newest = checkpoint;
        store->known = true;
    }
    *ret_checkpoint = checkpoint;
    return found;
}

bool checkpoint_save(struct checkpoint_store *store, struct checkpoint *checkpoint, struct err *err)
{
    if (!store->looked) {
        /* The number must be higher than any that is there, also for a caller that never asked. */
        struct checkpoint held;
        struct err ignored = ERR_INIT;
        discard(checkpoint_load(store, &held, &ignored) == CHECKPOINT_FOUND);
    }
    if (store->known) {
        ASSERT(!same_lineage(&store->newest, checkpoint) ||
               lsn_cmp(checkpoint->lsn, store->newest.lsn) >= 0);
        checkpoint->sequence = store->newest.sequence + 1;
    } else {
        checkpoint->sequence = 1;
    }
    checkpoint->version = CHECKPOINT_VERSION;
    /* Before the attempt: a save that failed may have reached the disk all the same. */
    store->newest = *checkpoint;
    store->known = true;
    return store->ops->save(store, checkpoint, err);
}
