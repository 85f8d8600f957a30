/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/arena.h"

#include <stdalign.h>

#include "test.h"

/* AddressSanitizer ends the process by default where malloc() gives NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static struct arena made(size_t base_size, size_t max)
{
    struct arena arena;
    ck_assert(arena_init(&arena, base_size, max));
    return arena;
}

START_TEST(ceiling_refuses)
{
    struct arena arena = made(64, 128);
    ck_assert_ptr_null(arena_alloc(&arena, 129));
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 64));
    ck_assert_ptr_null(arena_alloc(&arena, 65));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 64));
    ck_assert_ptr_null(arena_alloc(&arena, 1));
    arena_deinit(&arena);
}
END_TEST

START_TEST(ceiling_holds_over_small_allocations)
{
    struct arena arena = made(64, 1000);
    size_t total = 0;
    while (arena_alloc(&arena, 10) != NULL) {
        total += 10;
        ck_assert_uint_le(total, 1000);
        ck_assert_uint_le(arena.base_size + arena.extra_size, 1000);
    }
    ck_assert_uint_gt(total, 500);
    arena_deinit(&arena);
}
END_TEST

START_TEST(ceiling_lifts_at_reset)
{
    struct arena arena = made(16, 64);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 48));
    ck_assert_ptr_null(arena_alloc(&arena, 48));
    arena_reset(&arena);
    ck_assert_ptr_null(arena.extra);
    ck_assert_uint_eq(arena.extra_size, 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 48));
    arena_deinit(&arena);
}
END_TEST

START_TEST(base_serves_again_after_reset)
{
    struct arena arena = made(256, 256);
    const void *first = arena_alloc(&arena, 200);
    ck_assert_ptr_nonnull(first);
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_alloc(&arena, 200), first);
    ck_assert_ptr_null(arena.extra);
    arena_deinit(&arena);
}
END_TEST

START_TEST(every_allocation_is_aligned_and_apart)
{
    struct arena arena = made(100, 10000);
    uint8_t *previous = NULL;
    for (size_t size = 1; size < 60; size++) {
        uint8_t *at = arena_alloc(&arena, size);
        ck_assert_ptr_nonnull(at);
        ck_assert_uint_eq((uintptr_t)at % alignof(max_align_t), 0);
        memset(at, (int)size, size);
        if (previous != NULL) {
            ck_assert_uint_eq(previous[0], size - 1);
            ck_assert_uint_eq(previous[size - 2], size - 1);
        }
        previous = at;
    }
    arena_deinit(&arena);
}
END_TEST

START_TEST(size_zero_is_valid_even_when_full)
{
    struct arena arena = made(16, 16);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    arena_deinit(&arena);
    arena = made(0, 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    ck_assert_ptr_null(arena_alloc(&arena, 1));
    arena_deinit(&arena);
}
END_TEST

START_TEST(init_without_memory_fails)
{
    struct arena arena;
    ck_assert(!arena_init(&arena, SIZE_MAX / 2, SIZE_MAX - 1));
}
END_TEST

START_TEST(copy_is_nul_terminated)
{
    struct arena arena = made(64, 64);
    bool ok = true;
    struct bytes from = BYTES_LIT("abc");
    struct bytes copy = arena_copy(&arena, from, &ok);
    ck_assert(ok);
    ck_assert_bytes(copy, "abc");
    ck_assert_ptr_ne(copy.ptr, from.ptr);
    ck_assert_uint_eq(copy.ptr[3], '\0');
    copy = arena_copy(&arena, BYTES_LIT(""), &ok);
    ck_assert(ok && bytes_present(copy) && bytes_empty(copy));
    ck_assert_uint_eq(copy.ptr[0], '\0');
    arena_deinit(&arena);
}
END_TEST

START_TEST(copy_of_absent_is_absent)
{
    struct arena arena = made(0, 0);
    bool ok = true;
    ck_assert(!bytes_present(arena_copy(&arena, BYTES_ABSENT, &ok)));
    ck_assert(ok);
    arena_deinit(&arena);
}
END_TEST

START_TEST(copy_at_ceiling_says_so_and_never_true)
{
    struct arena arena = made(4, 4);
    bool ok = true;
    ck_assert(!bytes_present(arena_copy(&arena, BYTES_LIT("abcd"), &ok)));
    ck_assert(!ok);
    struct bytes copy = arena_copy(&arena, BYTES_LIT("abc"), &ok);
    ck_assert_bytes(copy, "abc");
    ck_assert(!ok);
    arena_deinit(&arena);
}
END_TEST

START_TEST(deinit_frees_extra_blocks)
{
    struct arena arena = made(16, 1000);
    for (int i = 0; i < 5; i++) {
        ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
    }
    arena_deinit(&arena);
    ck_assert_ptr_null(arena.base);
    ck_assert_ptr_null(arena.extra);
    arena_deinit(&arena);
}
END_TEST

static Suite *suite_of_arena(void)
{
    Suite *suite = suite_create("arena");
    TCase *tcase = tcase_create("arena");
    tcase_add_test(tcase, ceiling_refuses);
    tcase_add_test(tcase, ceiling_holds_over_small_allocations);
    tcase_add_test(tcase, ceiling_lifts_at_reset);
    tcase_add_test(tcase, base_serves_again_after_reset);
    tcase_add_test(tcase, every_allocation_is_aligned_and_apart);
    tcase_add_test(tcase, size_zero_is_valid_even_when_full);
    tcase_add_test(tcase, init_without_memory_fails);
    tcase_add_test(tcase, copy_is_nul_terminated);
    tcase_add_test(tcase, copy_of_absent_is_absent);
    tcase_add_test(tcase, copy_at_ceiling_says_so_and_never_true);
    tcase_add_test(tcase, deinit_frees_extra_blocks);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_arena())
