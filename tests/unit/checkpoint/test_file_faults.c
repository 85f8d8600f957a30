/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of a save is made to fail, one after the other and in several ways. Whatever
 * happens, a later load finds the old checkpoint or the new one, and "saved" is only said of the
 * new one.
 */
#include <errno.h>

#include "file_calls.h"

#include "place.h"

enum fault {
    FAULT_NONE,
    FAULT_ONCE,  /* the call fails, those after it work */
    FAULT_DEAD,  /* the call and all after it fail: the process dies there */
    FAULT_SHORT, /* one byte at a time, with EINTR between */
    FAULT_STALE, /* reports the failure although the work was done */
    FAULT_LINKS, /* a file system without hard links */
};

/* What the calls of a test share. */
static struct {
    enum fault fault;
    int cause;
    unsigned at; /* number of the call that fails, from 1 */
    unsigned calls;
    bool interrupted;
    bool unusable[1024]; /* descriptors whose write or sync failed */
    char log[512];       /* one word a call */
} faults;

static void note(const char *word)
{
    size_t len = strlen(faults.log);
    snprintf(faults.log + len, sizeof(faults.log) - len, "%s ", word);
}

/* True when this call is to fail. */
static bool fails(const char *word)
{
    note(word);
    faults.calls++;
    bool now = (faults.fault == FAULT_ONCE && faults.calls == faults.at) ||
               (faults.fault == FAULT_DEAD && faults.calls >= faults.at);
    errno = now ? faults.cause : errno;
    return now;
}

/* The result of a call that was made, unless its failure is to be reported all the same. */
static int done(int result)
{
    if (faults.fault != FAULT_STALE || faults.calls != faults.at || result < 0)
        return result;
    errno = faults.cause;
    return -1;
}

static int bad_open_at(int directory, const char *name, int flags, mode_t mode)
{
    if (fails((flags & O_CREAT) != 0 ? "create" : "open"))
        return -1;
    int fd = file_calls_real.open_at(directory, name, flags, mode);
    if (fd >= 0 && done(fd) < 0) {
        ck_assert_int_eq(close(fd), 0);
        errno = faults.cause;
        return -1;
    }
    if (fd >= 0)
        faults.unusable[fd] = false;
    return fd;
}

static ssize_t bad_write(int fd, const void *from, size_t len)
{
    ck_assert_msg(!faults.unusable[fd], "a descriptor is used again after a failure: %s",
                  faults.log);
    if (fails("write")) {
        faults.unusable[fd] = faults.cause != EINTR;
        return -1;
    }
    if (faults.fault == FAULT_SHORT) {
        faults.interrupted = !faults.interrupted;
        if (faults.interrupted) {
            errno = EINTR;
            return -1;
        }
        len = 1;
    }
    ssize_t put = file_calls_real.write(fd, from, len);
    return put < 0 || done(0) == 0 ? put : -1;
}

static int bad_sync(int fd)
{
    ck_assert_msg(!faults.unusable[fd], "a descriptor is used again after a failure: %s",
                  faults.log);
    if (fails("sync")) {
        faults.unusable[fd] = true;
        return -1;
    }
    /* That the disk does what it says is not for this test, and would make it slow. */
    return done(0);
}

static int bad_close(int fd)
{
    bool now = fails("close");
    int result = done(file_calls_real.close(fd));
    errno = now ? faults.cause : errno;
    return now ? -1 : result;
}

static int bad_link_at(int directory, const char *from, const char *to)
{
    if (fails("link"))
        return -1;
    if (faults.fault == FAULT_LINKS) {
        errno = EPERM;
        return -1;
    }
    return done(file_calls_real.link_at(directory, from, to));
}

static int bad_rename_at(int directory, const char *from, const char *to)
{
    return fails("rename") ? -1 : done(file_calls_real.rename_at(directory, from, to));
}

static int bad_unlink_at(int directory, const char *name)
{
    return fails("unlink") ? -1 : done(file_calls_real.unlink_at(directory, name));
}

static struct file_calls bad_calls;
static struct place place;

static void setup(void)
{
    bad_calls = file_calls_real;
    bad_calls.open_at = bad_open_at;
    bad_calls.write = bad_write;
    bad_calls.sync = bad_sync;
    bad_calls.close = bad_close;
    bad_calls.link_at = bad_link_at;
    bad_calls.rename_at = bad_rename_at;
    bad_calls.unlink_at = bad_unlink_at;
    place = place_make();
}

static void teardown(void)
{
    place_remove(&place);
}

static void inject(enum fault fault, unsigned at, int cause)
{
    memset(&faults, 0, sizeof(faults));
    faults.fault = fault;
    faults.at = at;
    faults.cause = cause;
}

static struct checkpoint_store *open_store(void)
{
    struct checkpoint_opts opts = {.directory = place.directory, .pipeline = "orders"};
    struct checkpoint_store *store = NULL;
    struct err err = ERR_INIT;
    ck_assert_msg(checkpoint_file_open_calls(&opts, &bad_calls, &store, &err), "%s", err.message);
    return store;
}

static bool save(struct checkpoint_store *store, uint64_t lsn)
{
    struct checkpoint checkpoint = checkpoint_at(lsn);
    struct err err = ERR_INIT;
    bool saved = checkpoint_save(store, &checkpoint, &err);
    if (!saved) {
        ck_assert_int_eq(err.code, ERR_CHECKPOINT_WRITE);
        ck_assert_str_ne(err.where, "");
        ck_assert_str_ne(err.hint, "");
    }
    return saved;
}

/* A store with 100 saved `generations` times, and loaded. */
static struct checkpoint_store *prepare(unsigned generations)
{
    inject(FAULT_NONE, 0, 0);
    struct checkpoint_store *store = open_store();
    for (unsigned i = 0; i < generations; i++)
        ck_assert(save(store, 100));
    struct checkpoint checkpoint;
    struct err err = ERR_INIT;
    enum checkpoint_found found = checkpoint_load(store, &checkpoint, &err);
    ck_assert_int_eq(found, generations == 0 ? CHECKPOINT_ABSENT : CHECKPOINT_FOUND);
    return store;
}

/* What a new process finds: 0 for nothing. */
static uint64_t found_after_restart(void)
{
    char log[sizeof(faults.log)];
    memcpy(log, faults.log, sizeof(log));
    inject(FAULT_NONE, 0, 0);
    struct checkpoint_store *store = open_store();
    struct checkpoint checkpoint = checkpoint_at(0);
    struct err err = ERR_INIT;
    enum checkpoint_found found = checkpoint_load(store, &checkpoint, &err);
    ck_assert_msg(found != CHECKPOINT_UNREADABLE, "unreadable after: %s", log);
    ck_assert_msg(place_count(&place) <= 3, "leftovers after: %s", log);
    checkpoint_close(store);
    return checkpoint.lsn.value;
}

static void try_fault(enum fault fault, unsigned at, int cause, unsigned generations)
{
    struct checkpoint_store *store = prepare(generations);
    inject(fault, at, cause);
    bool saved = save(store, 200);
    char log[sizeof(faults.log)];
    memcpy(log, faults.log, sizeof(log));
    if (fault == FAULT_ONCE && !saved) {
        /* The trouble passes: the next save works, and nothing was lost meanwhile. */
        inject(FAULT_NONE, 0, 0);
        ck_assert_msg(save(store, 300), "no save after: %s", log);
        ck_assert_msg(strstr(faults.log, "create") == faults.log, "not a new file: %s", faults.log);
        checkpoint_close(store);
        ck_assert_uint_eq(found_after_restart(), 300);
    } else {
        checkpoint_close(store);
        uint64_t lsn = found_after_restart();
        uint64_t old = generations == 0 ? 0 : 100;
        ck_assert_msg(lsn == 200 || (lsn == old && !saved), "%lu after saved=%d: %s",
                      (unsigned long)lsn, saved, log);
    }
    place_clear(&place);
}

static const int causes[] = {EIO, ENOSPC, EDQUOT, EROFS, EINTR};

START_TEST(any_call_fails_in_any_way)
{
    static const enum fault kinds[] = {FAULT_ONCE, FAULT_DEAD, FAULT_STALE};
    enum fault kind = kinds[_i];
    for (unsigned generations = 0; generations <= 3; generations++) {
        struct checkpoint_store *store = prepare(generations);
        inject(FAULT_NONE, 0, 0);
        ck_assert(save(store, 200));
        unsigned calls = faults.calls;
        checkpoint_close(store);
        place_clear(&place);
        ck_assert_uint_ge(calls, 6);
        for (unsigned at = 1; at <= calls + 1; at++) {
            for (size_t c = 0; c < ARRAY_LEN(causes); c++) {
                /* No kernel says EINTR of what it did, or for ever. */
                if (kind == FAULT_ONCE || causes[c] != EINTR)
                    try_fault(kind, at, causes[c], generations);
            }
        }
    }
}
END_TEST

START_TEST(short_and_interrupted_writes_are_finished)
{
    struct checkpoint_store *store = prepare(2);
    inject(FAULT_SHORT, 0, 0);
    ck_assert(save(store, 200));
    ck_assert_uint_gt(faults.calls, 400);
    checkpoint_close(store);
    ck_assert_uint_eq(found_after_restart(), 200);
}
END_TEST

START_TEST(a_save_has_one_order)
{
    struct checkpoint_store *store = prepare(2);
    inject(FAULT_NONE, 0, 0);
    ck_assert(save(store, 200));
    ck_assert_str_eq(faults.log, "create write sync close open unlink link rename sync close ");
    checkpoint_close(store);
}
END_TEST

START_TEST(a_file_system_without_links_will_do)
{
    struct checkpoint_store *store = prepare(2);
    inject(FAULT_LINKS, 0, 0);
    ck_assert(save(store, 200));
    ck_assert(place_has(&place, "orders.checkpoint.previous"));
    ck_assert(save(store, 300));
    place_write(&place, "orders.checkpoint", BYTES_LIT(""));
    checkpoint_close(store);
    ck_assert_uint_eq(found_after_restart(), 200);
}
END_TEST

START_TEST(a_failed_sync_is_not_repaired_by_another)
{
    struct checkpoint_store *store = prepare(2);
    inject(FAULT_ONCE, 3, EIO);
    ck_assert(!save(store, 200));
    ck_assert_str_eq(faults.log, "create write sync close unlink ");
    checkpoint_close(store);
    ck_assert_uint_eq(found_after_restart(), 100);
}
END_TEST

static Suite *suite_of_file_faults(void)
{
    Suite *suite = suite_create("file_faults");
    TCase *tcase = tcase_create("file_faults");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, any_call_fails_in_any_way, 0, 3);
    tcase_add_test(tcase, short_and_interrupted_writes_are_finished);
    tcase_add_test(tcase, a_save_has_one_order);
    tcase_add_test(tcase, a_file_system_without_links_will_do);
    tcase_add_test(tcase, a_failed_sync_is_not_repaired_by_another);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_file_faults())
