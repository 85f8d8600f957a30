/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/wait.h>

#include "place.h"

static struct place place;
static struct checkpoint_store *store;

static void open_store(void)
{
    struct checkpoint_opts opts = {.directory = place.directory, .pipeline = "orders"};
    struct err err = ERR_INIT;
    ck_assert_msg(checkpoint_file_open(&opts, &store, &err), "%s", err.message);
}

static void reopen(void)
{
    checkpoint_close(store);
    open_store();
}

static void setup(void)
{
    place = place_make();
    open_store();
}

static void teardown(void)
{
    checkpoint_close(store);
    place_remove(&place);
}

static void save(uint64_t lsn)
{
    struct checkpoint checkpoint = checkpoint_at(lsn);
    struct err err = ERR_INIT;
    ck_assert_msg(checkpoint_save(store, &checkpoint, &err), "%s", err.message);
}

static void ck_loads(enum checkpoint_found expected, uint64_t lsn, enum err_code code)
{
    struct checkpoint checkpoint = checkpoint_at(0);
    struct err err = ERR_INIT;
    enum checkpoint_found found = checkpoint_load(store, &checkpoint, &err);
    ck_assert_msg(found == expected, "found %d (%s), not %d", (int)found, err.message,
                  (int)expected);
    ck_assert_uint_eq(checkpoint.lsn.value, lsn);
    ck_assert_int_eq(err.code, code);
    if (code != ERR_NONE) {
        ck_assert_str_ne(err.where, "");
        ck_assert_str_ne(err.hint, "");
    }
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

START_TEST(a_first_start_finds_nothing)
{
    ck_loads(CHECKPOINT_ABSENT, 0, ERR_NONE);
    ck_assert_uint_eq(mode_of(place.directory), 0700);
    ck_assert_uint_eq(mode_of(place_path(&place, "orders.lock").text), 0600);
}
END_TEST

START_TEST(what_was_saved_is_found)
{
    struct checkpoint checkpoint = checkpoint_at(100);
    struct err err = ERR_INIT;
    ck_assert(checkpoint_save(store, &checkpoint, &err));
    ck_assert_uint_eq(checkpoint.sequence, 1);
    ck_loads(CHECKPOINT_FOUND, 100, ERR_NONE);
    ck_assert(checkpoint_save(store, &checkpoint, &err));
    ck_assert_uint_eq(checkpoint.sequence, 2);
    ck_assert_uint_eq(mode_of(place_path(&place, "orders.checkpoint").text), 0600);
    ck_assert_uint_eq(mode_of(place_path(&place, "orders.checkpoint.previous").text), 0600);
    reopen();
    ck_loads(CHECKPOINT_FOUND, 100, ERR_NONE);
    save(200);
    reopen();
    save(300); /* without a load: the number goes on all the same */
    struct checkpoint back;
    ck_assert_int_eq(checkpoint_load(store, &back, &err), CHECKPOINT_FOUND);
    ck_assert_uint_eq(back.sequence, 4);
}
END_TEST

START_TEST(the_generation_before_is_kept)
{
    save(100);
    ck_assert(!place_has(&place, "orders.checkpoint.previous"));
    save(200);
    save(300);
    place_write(&place, "orders.checkpoint", BYTES_LIT("garbage"));
    ck_loads(CHECKPOINT_PREVIOUS, 200, ERR_CHECKPOINT_INVALID);
    reopen();
    ck_loads(CHECKPOINT_PREVIOUS, 200, ERR_CHECKPOINT_INVALID);
    /* The damaged one never takes the place of the good one. */
    save(400);
    ck_loads(CHECKPOINT_FOUND, 400, ERR_NONE);
    ck_assert_int_eq(unlink(place_path(&place, "orders.checkpoint").text), 0);
    reopen();
    ck_loads(CHECKPOINT_PREVIOUS, 200, ERR_CHECKPOINT_INVALID);
}
END_TEST

START_TEST(the_higher_sequence_wins)
{
    save(100);
    save(200);
    struct place_path current = place_path(&place, "orders.checkpoint");
    struct place_path previous = place_path(&place, "orders.checkpoint.previous");
    struct place_path aside = place_path(&place, "aside");
    ck_assert_int_eq(rename(current.text, aside.text), 0);
    ck_assert_int_eq(rename(previous.text, current.text), 0);
    ck_assert_int_eq(rename(aside.text, previous.text), 0);
    reopen();
    ck_loads(CHECKPOINT_PREVIOUS, 200, ERR_CHECKPOINT_INVALID);
    save(300);
    ck_loads(CHECKPOINT_FOUND, 300, ERR_NONE);
}
END_TEST

START_TEST(a_damaged_previous_does_no_harm)
{
    save(100);
    save(200);
    place_write(&place, "orders.checkpoint.previous", BYTES_LIT(""));
    reopen();
    ck_loads(CHECKPOINT_FOUND, 200, ERR_NONE);
    save(300);
    place_write(&place, "orders.checkpoint", BYTES_LIT(""));
    ck_loads(CHECKPOINT_PREVIOUS, 200, ERR_CHECKPOINT_INVALID);
}
END_TEST

START_TEST(when_nothing_is_good_it_says_so)
{
    save(100);
    save(200);
    place_write(&place, "orders.checkpoint", BYTES_LIT("x"));
    place_write(&place, "orders.checkpoint.previous", BYTES_LIT("y"));
    ck_loads(CHECKPOINT_UNREADABLE, 0, ERR_CHECKPOINT_INVALID);
    ck_assert_int_eq(unlink(place_path(&place, "orders.checkpoint").text), 0);
    ck_loads(CHECKPOINT_UNREADABLE, 0, ERR_CHECKPOINT_INVALID);
    /* A link is not followed, a directory is no checkpoint. */
    ck_assert_int_eq(symlink("/etc/passwd", place_path(&place, "orders.checkpoint").text), 0);
    ck_loads(CHECKPOINT_UNREADABLE, 0, ERR_CHECKPOINT_INVALID);
    ck_assert_int_eq(unlink(place_path(&place, "orders.checkpoint").text), 0);
    ck_assert_int_eq(mkdir(place_path(&place, "orders.checkpoint").text, 0700), 0);
    ck_loads(CHECKPOINT_UNREADABLE, 0, ERR_CHECKPOINT_INVALID);
}
END_TEST

START_TEST(every_cut_of_the_newest_gives_the_one_before)
{
    save(100);
    save(200);
    char text[CHECKPOINT_TEXT_MAX];
    size_t len = place_read(&place, "orders.checkpoint", text, sizeof(text));
    for (size_t cut = 0; cut < len; cut++) {
        place_write(&place, "orders.checkpoint", bytes_make(text, cut));
        ck_loads(CHECKPOINT_PREVIOUS, 100, ERR_CHECKPOINT_INVALID);
    }
    place_write(&place, "orders.checkpoint", bytes_make(text, len));
    ck_loads(CHECKPOINT_FOUND, 200, ERR_NONE);
}
END_TEST

START_TEST(a_file_of_any_size_is_read_within_bounds)
{
    save(100);
    save(200);
    ck_assert_int_eq(truncate(place_path(&place, "orders.checkpoint").text, 1 << 30), 0);
    ck_loads(CHECKPOINT_PREVIOUS, 100, ERR_CHECKPOINT_INVALID);
}
END_TEST

START_TEST(a_newer_version_is_not_undone)
{
    save(100);
    save(200);
    place_write(&place, "orders.checkpoint", BYTES_LIT("walferry_checkpoint=3\ncrc32c=00000000\n"));
    ck_loads(CHECKPOINT_PREVIOUS, 100, ERR_CHECKPOINT_INVALID);
    place_write(&place, "orders.checkpoint", BYTES_LIT("walferry_checkpoint=3\ncrc32c=0a2c35b1\n"));
    ck_loads(CHECKPOINT_UNREADABLE, 0, ERR_CHECKPOINT_VERSION);
}
END_TEST

START_TEST(leftovers_are_removed)
{
    save(100);
    place_write(&place, "orders.checkpoint.new-1-1", BYTES_LIT("half"));
    place_write(&place, "orders.checkpoint.new-2-9", BYTES_LIT(""));
    place_write(&place, "other.checkpoint.new-1-1", BYTES_LIT("of another pipeline"));
    place_write(&place, "orders2.checkpoint", BYTES_LIT("of another pipeline"));
    reopen();
    ck_assert(!place_has(&place, "orders.checkpoint.new-1-1"));
    ck_assert(!place_has(&place, "orders.checkpoint.new-2-9"));
    ck_assert(place_has(&place, "other.checkpoint.new-1-1"));
    ck_assert(place_has(&place, "orders2.checkpoint"));
    ck_loads(CHECKPOINT_FOUND, 100, ERR_NONE);
}
END_TEST

START_TEST(one_process_at_a_time)
{
    struct checkpoint_opts opts = {.directory = place.directory, .pipeline = "orders"};
    struct checkpoint_store *second = NULL;
    struct err err = ERR_INIT;
    ck_assert(!checkpoint_file_open(&opts, &second, &err));
    ck_assert_int_eq(err.code, ERR_CHECKPOINT_LOCKED);
    char pid[32];
    snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
    ck_assert_msg(strstr(err.message, pid) != NULL, "%s", err.message);
    ck_assert_str_ne(err.hint, "");
    /* Text in the lock file that no walferry wrote is not believed. */
    place_write(&place, "orders.lock", BYTES_LIT("1; rm -rf /\n"));
    ck_assert(!checkpoint_file_open(&opts, &second, &err));
    ck_assert_int_eq(err.code, ERR_CHECKPOINT_LOCKED);
    ck_assert_ptr_null(strstr(err.message, "rm -rf"));
    /* Another pipeline may live in the same directory. */
    opts.pipeline = "invoices";
    ck_assert(checkpoint_file_open(&opts, &second, &err));
    checkpoint_close(second);
    opts.pipeline = "orders";
    checkpoint_close(store);
    ck_assert(checkpoint_file_open(&opts, &store, &err));
}
END_TEST

START_TEST(the_lock_dies_with_its_process)
{
    checkpoint_close(store);
    pid_t child = fork();
    if (child == 0) {
        struct checkpoint_opts opts = {.directory = place.directory, .pipeline = "orders"};
        struct err err;
        _exit(checkpoint_file_open(&opts, &store, &err) ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    open_store();
}
END_TEST

START_TEST(an_unusable_directory_is_explained)
{
    struct checkpoint_store *other = NULL;
    struct err err = ERR_INIT;
    char path[160];
    snprintf(path, sizeof(path), "%s/no/such", place.root);
    struct checkpoint_opts opts = {.directory = path, .pipeline = "orders"};
    ck_assert(!checkpoint_file_open(&opts, &other, &err));
    ck_assert_int_eq(err.code, ERR_CHECKPOINT_DIR);
    ck_assert_str_eq(err.where, path);
    ck_assert_ptr_nonnull(strstr(err.hint, "install -d"));
    snprintf(path, sizeof(path), "%s/file", place.root);
    FILE *file = fopen(path, "w");
    ck_assert_int_eq(fclose(file), 0);
    ck_assert(!checkpoint_file_open(&opts, &other, &err));
    ck_assert_int_eq(err.code, ERR_CHECKPOINT_DIR);
    ck_assert_ptr_null(other);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_new_lineage_may_begin_lower)
{
    save(500);
    struct checkpoint checkpoint = checkpoint_at(10);
    struct err err = ERR_INIT;
    checkpoint.timeline = 2;
    ck_assert(checkpoint_save(store, &checkpoint, &err));
    snprintf(checkpoint.slot, sizeof(checkpoint.slot), "other");
    checkpoint.lsn = lsn_make(5);
    ck_assert(checkpoint_save(store, &checkpoint, &err));
    ck_assert_uint_eq(checkpoint.sequence, 3);
    ck_loads(CHECKPOINT_FOUND, 5, ERR_NONE);
}
END_TEST

START_TEST(a_position_that_falls_is_asserted)
{
    struct checkpoint checkpoint = checkpoint_at(500);
    struct checkpoint_store *none = NULL;
    ck_assert(checkpoint_none_open(&none, NULL));
    ck_assert(checkpoint_save(none, &checkpoint, NULL));
    checkpoint.lsn = lsn_make(499);
    discard(checkpoint_save(none, &checkpoint, NULL));
}
END_TEST

START_TEST(none_remembers_in_memory)
{
    struct checkpoint_store *none = NULL;
    struct checkpoint checkpoint = checkpoint_at(100), back;
    struct err err = ERR_INIT;
    ck_assert(checkpoint_none_open(&none, &err));
    ck_assert_int_eq(checkpoint_load(none, &back, &err), CHECKPOINT_ABSENT);
    ck_assert(checkpoint_save(none, &checkpoint, &err));
    ck_assert_uint_eq(checkpoint.sequence, 1);
    ck_assert_int_eq(checkpoint_load(none, &back, &err), CHECKPOINT_FOUND);
    ck_assert_uint_eq(back.lsn.value, 100);
    checkpoint_close(none);
    checkpoint_close(NULL);
}
END_TEST

static Suite *suite_of_file_store(void)
{
    Suite *suite = suite_create("file_store");
    TCase *tcase = tcase_create("file_store");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_first_start_finds_nothing);
    tcase_add_test(tcase, what_was_saved_is_found);
    tcase_add_test(tcase, the_generation_before_is_kept);
    tcase_add_test(tcase, the_higher_sequence_wins);
    tcase_add_test(tcase, a_damaged_previous_does_no_harm);
    tcase_add_test(tcase, when_nothing_is_good_it_says_so);
    tcase_add_test(tcase, every_cut_of_the_newest_gives_the_one_before);
    tcase_add_test(tcase, a_file_of_any_size_is_read_within_bounds);
    tcase_add_test(tcase, a_newer_version_is_not_undone);
    tcase_add_test(tcase, leftovers_are_removed);
    tcase_add_test(tcase, one_process_at_a_time);
    tcase_add_test(tcase, the_lock_dies_with_its_process);
    tcase_add_test(tcase, an_unusable_directory_is_explained);
    tcase_add_test(tcase, a_new_lineage_may_begin_lower);
    tcase_add_exit_test(tcase, a_position_that_falls_is_asserted, 70);
    tcase_add_test(tcase, none_remembers_in_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_file_store())
