/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/clock.h"

#include <time.h>

#include "walferry/base/assert.h"
#include "walferry/base/swar.h"

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z. */
#define FIRST_US  INT64_C(-62135596800000000)
#define LAST_US   INT64_C(253402300799999999)
#define US_PER_NS 1000
#define DAY_S     INT64_C(86400)
/* Days of 400 years, and from 0000-03-01 to 1970-01-01. */
#define ERA_DAYS      146097
#define DAYS_TO_EPOCH INT64_C(719468)

uint64_t clock_mono_ns(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    ASSERT(failed == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_us(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    ASSERT(failed == 0);
    return now.tv_sec * US_PER_S + now.tv_nsec / US_PER_NS;
}

int64_t clock_from_pg(int64_t pg_us)
{
    int64_t unix_us = 0;
    return __builtin_add_overflow(pg_us, CLOCK_PG_EPOCH_US, &unix_us) ? INT64_MAX : unix_us;
}

int64_t clock_to_pg(int64_t unix_us)
{
    int64_t pg_us = 0;
    return __builtin_sub_overflow(unix_us, CLOCK_PG_EPOCH_US, &pg_us) ? INT64_MIN : pg_us;
}

struct date {
    uint32_t year;
    uint32_t month; /* 1 to 12 */
    uint32_t day;   /* 1 to 31 */
};

/* Years are counted from March here, so that the leap day is the last of its year and months have
 * the repeating lengths 31 30 31 30 31 (153 days in five). */
static struct date date_of_days(int64_t days_since_1970)
{
    ASSERT(days_since_1970 >= -DAYS_TO_EPOCH && days_since_1970 < INT32_MAX);
    uint32_t days = (uint32_t)(days_since_1970 + DAYS_TO_EPOCH);
    uint32_t era = days / ERA_DAYS;
    uint32_t day_of_era = days % ERA_DAYS;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct date){
        .year = era * 400 + year_of_era + (month <= 2 ? 1 : 0),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
    };
}

static int64_t days_of_date(struct date date)
{
    uint32_t year = date.month <= 2 ? date.year - 1 : date.year;
    uint32_t march_month = date.month > 2 ? date.month - 3 : date.month + 9;
    uint32_t era = year / 400;
    uint32_t year_of_era = year % 400;
    uint32_t day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * ERA_DAYS + day_of_era - DAYS_TO_EPOCH;
}

/* Two digits of a number below 100. */
static void put_pair(char *out, uint32_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    memcpy(out, pairs + (size_t)2 * value, 2);
}

/* By hand: this stands in every event, and snprintf() costs as much as all the rest of it. */
struct clock_text clock_format(int64_t unix_us)
{
    int64_t us = unix_us < FIRST_US ? FIRST_US : unix_us > LAST_US ? LAST_US : unix_us;
    /* From the first instant on, so that division rounds down before 1970 too. */
    uint64_t since_first = (uint64_t)(us - FIRST_US);
    uint64_t seconds = since_first / US_PER_S;
    uint32_t fraction = (uint32_t)(since_first % US_PER_S);
    uint32_t second = (uint32_t)(seconds % DAY_S);
    struct date date = date_of_days((int64_t)(seconds / DAY_S) + FIRST_US / US_PER_S / DAY_S);
    struct clock_text text = {"0000-00-00T00:00:00Z"};
    uint32_t year = (uint32_t)date.year;
    put_pair(text.text, year / 100);
    put_pair(text.text + 2, year % 100);
    put_pair(text.text + 5, (uint32_t)date.month);
    put_pair(text.text + 8, (uint32_t)date.day);
    put_pair(text.text + 11, second / 3600);
    put_pair(text.text + 14, second / 60 % 60);
    put_pair(text.text + 17, second % 60);
    if (fraction != 0) {
        text.text[19] = '.';
        put_pair(text.text + 20, fraction / 10000);
        put_pair(text.text + 22, fraction / 100 % 100);
        put_pair(text.text + 24, fraction % 100);
        text.text[26] = 'Z';
    }
    return text;
}

/* What is left of a text being parsed. */
struct cursor {
    const uint8_t *pos;
    const uint8_t *end;
};

static bool at_digit(const struct cursor *cursor)
{
    return cursor->pos < cursor->end && *cursor->pos >= '0' && *cursor->pos <= '9';
}

static bool take_char(struct cursor *cursor, char wanted)
{
    if (cursor->pos == cursor->end || *cursor->pos != (uint8_t)wanted) {
        return false;
    }
    cursor->pos++;
    return true;
}

/* Exactly `count` digits with a value in min to max. */
static bool take_number(struct cursor *cursor, int count, int64_t min, int64_t max,
                        int64_t *ret_value)
{
    int64_t value = 0;
    for (int i = 0; i < count; i++) {
        if (!at_digit(cursor)) {
            return false;
        }
        value = value * 10 + (*cursor->pos - '0');
        cursor->pos++;
    }
    if (value < min || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool day_exists(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap_day = month == 2 && day == 29;
    bool leap_year = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && (day <= days[month - 1] || (leap_day && leap_year));
}

static bool take_date(struct cursor *cursor, struct date *ret_date)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    if (!take_number(cursor, 4, 1, 9999, &year) || !take_char(cursor, '-') ||
        !take_number(cursor, 2, 1, 12, &month) || !take_char(cursor, '-') ||
        !take_number(cursor, 2, 1, 31, &day)) {
        return false;
    }
    *ret_date = (struct date){(uint32_t)year, (uint32_t)month, (uint32_t)day};
    return day_exists(ret_date->year, ret_date->month, ret_date->day);
}

/* HH:MM:SS in seconds; 60 seconds are a leap second (RFC 3339, section 5.7). */
static bool take_time(struct cursor *cursor, int64_t *ret_seconds, bool *ret_leap)
{
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    if (!take_number(cursor, 2, 0, 23, &hour) || !take_char(cursor, ':') ||
        !take_number(cursor, 2, 0, 59, &minute) || !take_char(cursor, ':') ||
        !take_number(cursor, 2, 0, 60, &second)) {
        return false;
    }
    *ret_seconds = hour * 3600 + minute * 60 + second;
    *ret_leap = second == 60;
    return true;
}

/* Digits after the sixth are finer than a microsecond and cut. */
static bool take_fraction(struct cursor *cursor, int64_t *ret_us)
{
    int64_t us = 0;
    if (take_char(cursor, '.')) {
        if (!at_digit(cursor)) {
            return false;
        }
        int64_t unit = US_PER_S / 10;
        for (; at_digit(cursor); cursor->pos++, unit /= 10) {
            us += (*cursor->pos - '0') * unit;
        }
    }
    *ret_us = us;
    return true;
}

/* What stands behind the time, up to the end of the text; nothing is UTC. */
static bool take_offset(struct cursor *cursor, int64_t *ret_seconds)
{
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    bool west = take_char(cursor, '-');
    if (west || take_char(cursor, '+')) {
        if (!take_number(cursor, 2, 0, 23, &hour)) {
            return false;
        }
        bool colon = take_char(cursor, ':');
        if ((colon || at_digit(cursor)) && !take_number(cursor, 2, 0, 59, &minute)) {
            return false;
        }
        if (colon && take_char(cursor, ':') && !take_number(cursor, 2, 0, 59, &second)) {
            return false;
        }
    } else if (!take_char(cursor, 'Z')) {
        discard(take_char(cursor, 'z'));
    }
    int64_t seconds = hour * 3600 + minute * 60 + second;
    *ret_seconds = west ? -seconds : seconds;
    return cursor->pos == cursor->end;
}

#define USUAL     "0000-00-00 00:00:00.000000+00"
#define USUAL_LEN (sizeof(USUAL) - 1)

/* Whether digits stand where zeroes do in USUAL, and elsewhere what stands there: eight bytes at a
 * time, the last eight once more in part. What differs from a zero by less than 10 is a digit: that
 * is added which lets all others reach the high bit of their byte. */
static bool looks_usual(const uint8_t *text)
{
    static const uint8_t usual[] = USUAL;
    static const uint8_t added[] = "vvvv\x7Fvv\x7Fvv\x7Fvv\x7Fvv\x7Fvv\x7Fvvvvvv\x7Fvv";
    static const size_t places[] = {0, 8, 16, USUAL_LEN - SWAR_SIZE};
    uint64_t faults = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        uint64_t differs = swar_load(text + places[i]) ^ swar_load(usual + places[i]);
        faults |= differs | (differs + swar_load(added + places[i]));
    }
    return (faults & SWAR_HIGH_BITS) == 0;
}

static uint32_t pair_at(const uint8_t *pos)
{
    return pos[0] * 10U + pos[1] - '0' * 11U;
}

/* What PostgreSQL writes for nearly every timestamptz of a session in UTC, as ours is:
 * "2026-01-31 12:34:56.123456+00". False for all others, good or not. */
static bool parse_usual(struct bytes text, int64_t *ret_unix_us)
{
    const uint8_t *at = text.ptr;
    if (text.len != USUAL_LEN || !looks_usual(at) || at[27] != '0' || at[28] != '0') {
        return false;
    }
    struct date date = {pair_at(at) * 100 + pair_at(at + 2), pair_at(at + 5), pair_at(at + 8)};
    uint32_t hour = pair_at(at + 11);
    uint32_t minute = pair_at(at + 14);
    uint32_t second = pair_at(at + 17);
    uint32_t fraction = pair_at(at + 20) * 10000 + pair_at(at + 22) * 100 + pair_at(at + 24);
    if (date.year < 1 || date.month < 1 || date.month > 12 ||
        !day_exists(date.year, date.month, date.day) || hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    int64_t seconds = days_of_date(date) * DAY_S + hour * 3600 + minute * 60 + second;
    *ret_unix_us = seconds * US_PER_S + fraction;
    return true;
}

bool clock_parse(struct bytes text, int64_t *ret_unix_us)
{
    if (bytes_empty(text)) {
        return false;
    }
    if (parse_usual(text, ret_unix_us)) {
        return true;
    }
    struct cursor cursor = {.pos = text.ptr, .end = text.ptr + text.len};
    struct date date;
    int64_t seconds = 0;
    int64_t fraction = 0;
    int64_t offset = 0;
    bool leap = false;
    if (!take_date(&cursor, &date) ||
        !(take_char(&cursor, 'T') || take_char(&cursor, 't') || take_char(&cursor, ' ')) ||
        !take_time(&cursor, &seconds, &leap) || !take_fraction(&cursor, &fraction) ||
        !take_offset(&cursor, &offset)) {
        return false;
    }
    int64_t unix_s = days_of_date(date) * DAY_S + seconds - offset;
    int64_t unix_us = unix_s * US_PER_S + fraction;
    /* Leap seconds are inserted before midnight UTC and nowhere else. */
    if ((leap && unix_s % DAY_S != 0) || unix_us < FIRST_US || unix_us > LAST_US) {
        return false;
    }
    *ret_unix_us = unix_us;
    return true;
}
