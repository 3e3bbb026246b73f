/* Epoch milliseconds and RFC 3339; see the header. Pure: no clock, no time zone but the text's. */
#include "comfypool/base/time_text.h"

#include <stdio.h>
#include <time.h>

/* ---- reading --------------------------------------------------------------------------------- */

/* Takes exactly n digits; false when there are fewer. */
static bool take_digits(struct str *s, size_t n, int *ret)
{
    int value = 0;
    if (s->n < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        value = value * 10 + (s->p[i] - '0');
    }
    *s = (struct str){s->p + n, s->n - n};
    *ret = value;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || *s->p != c) {
        return false;
    }
    *s = (struct str){s->p + 1, s->n - 1};
    return true;
}

/* Reads ".5" as millionths, ignoring digits beyond the sixth. Nothing there: 0. */
static bool take_fraction(struct str *s, int *ret)
{
    *ret = 0;
    if (!take_char(s, '.')) {
        return true;
    }
    int unit = 100000;
    size_t n = 0;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        *ret += (s->p[n] - '0') * unit;
        unit /= 10;
    }
    *s = (struct str){s->p + n, s->n - n};
    return n > 0;
}

static bool is_date(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) {
        return false;
    }
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool take_date(struct str *s, struct tm *ret)
{
    int year = 0;
    int month = 0;
    int day = 0;
    if (!take_digits(s, 4, &year) || !take_char(s, '-') || !take_digits(s, 2, &month) ||
        !take_char(s, '-') || !take_digits(s, 2, &day) || !is_date(year, month, day)) {
        return false;
    }
    *ret = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return true;
}

/* Reads "Z" or "+01:00", in seconds. */
static bool take_offset(struct str *s, int *ret)
{
    int hours = 0;
    int minutes = 0;
    *ret = 0;
    if (take_char(s, 'Z') || take_char(s, 'z')) {
        return true;
    }
    const bool minus = take_char(s, '-');
    if ((!minus && !take_char(s, '+') && !take_char(s, ' ')) || !take_digits(s, 2, &hours) ||
        !take_char(s, ':') || !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret = (hours * 60 + minutes) * 60 * (minus ? -1 : 1);
    return true;
}

static bool read_rfc3339(struct str s, struct wall_us *ret)
{
    struct tm date;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int micros = 0;
    int offset = 0;
    if (!take_date(&s, &date)) {
        return false;
    }
    if (s.n > 0) {
        if ((!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' ')) ||
            !take_digits(&s, 2, &hour) || !take_char(&s, ':') || !take_digits(&s, 2, &minute) ||
            !take_char(&s, ':') || !take_digits(&s, 2, &second) || !take_fraction(&s, &micros) ||
            !take_offset(&s, &offset) || s.n > 0 || hour > 23 || minute > 59 || second > 60) {
            return false;
        }
    }
    const int64_t of_day = hour * 3600 + minute * 60 + second - offset;
    ret->us = ((int64_t)timegm(&date) + of_day) * 1000000 + micros;
    return ret->us >= 0;
}

static bool read_epoch_ms(struct str s, struct wall_us *ret)
{
    int64_t ms = 0;
    size_t n = 0;
    if (s.n == 0) {
        return false;
    }
    for (; n < s.n && n < 15 && s.p[n] >= '0' && s.p[n] <= '9'; n++) {
        ms = ms * 10 + (s.p[n] - '0');
    }
    struct str rest = {s.p + n, s.n - n};
    int millionths = 0;
    if (n == 0 || !take_fraction(&rest, &millionths) || rest.n > 0) {
        return false;
    }
    ret->us = ms * 1000 + millionths / 1000;
    return !time_ms_is_seconds((double)ms);
}

bool time_read(struct str text, struct wall_us *ret)
{
    return read_epoch_ms(text, ret) || read_rfc3339(text, ret);
}

/* ---- writing --------------------------------------------------------------------------------- */

void time_write(struct wall_us t, char ret[TIME_TEXT_SIZE])
{
    const time_t seconds = (time_t)(t.us / 1000000);
    struct tm at = {0};
    (void)gmtime_r(&seconds, &at);
    const size_t n = strftime(ret, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &at);
    (void)snprintf(ret + n, TIME_TEXT_SIZE - n, ".%03dZ", (int)(t.us / 1000 % 1000));
}
