/* Ranges of files (RFC 9110, 14). Pure. */
#include <string.h>

#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"

/* Reads digits from *p on, capped at INT64_MAX; false: none. */
static bool read_number(const char **p, uint64_t *ret)
{
    const char *begin = *p;
    uint64_t n = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        n = n < INT64_MAX / 10 ? n * 10 + (uint64_t)(**p - '0') : INT64_MAX;
    }
    *ret = n;
    return *p > begin;
}

/* Reads "bytes=2-5", "bytes=2-", "bytes=-5"; false, the whole file, for several ranges, or anything
   else. */
static bool read_range(const char *text, uint64_t size, uint64_t *ret_from, uint64_t *ret_end)
{
    static const char unit[] = "bytes=";
    uint64_t from = 0;
    uint64_t last = 0;
    if (strncmp(text, unit, sizeof unit - 1) != 0) {
        return false;
    }
    const char *p = text + sizeof unit - 1;
    const bool has_from = read_number(&p, &from);
    if (*p++ != '-') {
        return false;
    }
    const bool has_last = read_number(&p, &last);
    if (*p != '\0' || (!has_from && !has_last) || (has_from && has_last && last < from)) {
        return false;
    }
    *ret_from = has_from ? from : size - (last < size ? last : size);
    *ret_end = has_from && has_last && last < size ? last + 1 : size;
    return true;
}

enum http_part http_part_of(const struct http_request *rq, const char *etag, uint64_t size,
                            uint64_t *ret_from, uint64_t *ret_len)
{
    uint64_t from = 0;
    uint64_t end = size;
    const bool applies = rq->range[0] != '\0' && !rq->head &&
                         (rq->if_range[0] == '\0' || strcmp(rq->if_range, etag) == 0) &&
                         read_range(rq->range, size, &from, &end);
    *ret_from = from;
    *ret_len = from < end ? end - from : 0;
    if (!applies) {
        *ret_from = 0;
        *ret_len = size;
        return HTTP_WHOLE;
    }
    return *ret_len == 0 ? HTTP_NO_PART : HTTP_PART;
}
