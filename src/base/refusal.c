/* Refusals; see the header. */
#include "comfypool/base/refusal.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/str.h"

bool refusal_set(struct refusal *r, enum err code)
{
    return refusal_point(r, code, NULL, NULL);
}

bool refusal_say(struct refusal *r, enum err code, const char *detail)
{
    return refusal_point(r, code, detail, NULL);
}

bool refusal_point(struct refusal *r, enum err code, const char *detail, const char *pointer)
{
    *r = (struct refusal){.code = code, .detail = mem_strdup(detail)};
    (void)snprintf(r->pointer, sizeof r->pointer, "%s", pointer == NULL ? "" : pointer);
    return false;
}

bool refusal_wait(struct refusal *r, enum err code, const char *detail, int retry_after)
{
    (void)refusal_point(r, code, detail, NULL);
    r->retry_after = retry_after;
    return false;
}

void refusal_done(struct refusal *r)
{
    free(r->detail);
    *r = (struct refusal){.code = ERR_NONE};
}
