/*
 * What a server says that it has: two answers of /object_info, cut at the first NUL byte, one after
 * the other. Classes that are known can be asked about; nothing is left over.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/core/catalog.h"

static void look(const struct catalog *c)
{
    size_t at = 0;
    for (const struct catalog_class *k = map_next(&c->classes, &at); k != NULL;
         k = map_next(&c->classes, &at)) {
        if (catalog_find(c, str_of(k->name)) != k || !catalog_knows(c, str_of(k->name))) {
            abort();
        }
        for (size_t i = 0; i < k->inputs_len; i++) {
            const struct catalog_input *in = &k->inputs[i];
            (void)catalog_input(k, str_of(in->name));
            for (size_t n = 0; n < in->values_len; n++) {
                if (!catalog_allows(k, str_of(in->name), str_of(in->values[n])) &&
                    catalog_input(k, str_of(in->name)) == in) {
                    abort();
                }
            }
        }
    }
}

int fuzz_catalog(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    const size_t first = zero == NULL ? size : (size_t)(zero - data);
    const struct str texts[] = {
        {(const char *)data, first},
        {(const char *)data + first, size - first},
    };
    struct catalog_pool p;
    struct catalog c;
    catalog_pool_init(&p);
    catalog_init(&c);
    for (size_t i = 0; i < 2; i++) {
        const struct str text = {texts[i].p + (i == 1 && texts[i].n > 0 ? 1 : 0),
                                 texts[i].n - (i == 1 && texts[i].n > 0 ? 1 : 0)};
        struct catalog_draft d;
        if (catalog_draft_read(text, &d)) {
            (void)catalog_replace(&c, &p, &d);
        }
        (void)catalog_read_replacements(&c, text);
        look(&c);
    }
    catalog_done(&c, &p);
    if (p.classes.len != 0) {
        abort();
    }
    catalog_pool_done(&p);
    return 0;
}
