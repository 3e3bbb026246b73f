/* Blocking reads, once at the start. They use the loop's own connection. */
#include "comfypool/store/attempts.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/jobs.h"
#include "comfypool/store/keys.h"
#include "comfypool/store/outputs.h"
#include "comfypool/store/profiles.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/uploads.h"

#include "engine.h"
#include "inner.h"

enum err store_load_active(struct store *s, void (*each)(void *ctx, struct store_active *a),
                           void *ctx)
{
    return s->engine->load_active(s->reader, each, ctx);
}

enum err store_load_batches(struct store *s, void (*each)(void *ctx, struct store_batch *b),
                            void *ctx)
{
    return s->engine->load_batches(s->reader, each, ctx);
}

enum err store_load_due_hosts(struct store *s, void (*each)(void *ctx, const char *host), void *ctx)
{
    return s->engine->load_due_hosts(s->reader, each, ctx);
}

enum err store_load_strays(struct store *s, void (*each)(void *ctx, struct stray_record *r),
                           void *ctx)
{
    return s->engine->load_strays(s->reader, each, ctx);
}

enum err store_load_backends(struct store *s, void (*each)(void *ctx, struct backend_record *r),
                             void *ctx)
{
    return s->engine->load_backends(s->reader, each, ctx);
}

enum err store_load_uploads(struct store *s, void (*each)(void *ctx, const struct upload_record *r),
                            void *ctx)
{
    return s->engine->load_uploads(s->reader, each, ctx);
}

enum err store_load_owners(struct store *s, void (*each)(void *ctx, const struct owner_record *r),
                           void *ctx)
{
    return s->engine->load_owners(s->reader, each, ctx);
}

enum err store_load_kept(struct store *s,
                         void (*each)(void *ctx, const struct kept_record *r, const char *backend),
                         void *ctx)
{
    return s->engine->load_kept(s->reader, each, ctx);
}

enum err store_load_batch(struct store *s, const char *id, struct store_batch *ret)
{
    return s->engine->batch(s->reader, id, ret);
}

enum err store_load_setting(struct store *s, const char *name, char **ret)
{
    return s->engine->setting(s->reader, name, ret);
}
