/*
 * The table of classes. Inputs are described where a client looks at them (samplers, lists of
 * models, images); validation (graph.c) does not demand them, so that tests can post bare nodes.
 * Invariant: sorted by name, for class_find.
 */
#include "classes.h"

#include <stdlib.h>
#include <string.h>

#define PIXELS(name, def)                                                                          \
    "\"" name "\": [\"INT\", {\"default\": " def ", \"min\": 1, \"max\": 16384, \"step\": 1}]"
#define STR(name) "\"" name "\": [\"STRING\", {}]"
#define OF(name, type) "\"" name "\": [\"" type "\", {}]"
#define MODELS(name) "\"" name "\": [$MODELS, {}]"
#define SECONDS "\"seconds\": [\"FLOAT\", {\"default\": 0.1}]"
#define SAMPLER                                                                                    \
    "\"sampler_name\": [[\"euler\", \"euler_ancestral\", \"heun\", \"dpm_2\", \"dpmpp_2m\", "      \
    "\"dpmpp_sde\", \"ddim\", \"uni_pc\"], {}], "                                                  \
    "\"scheduler\": [[\"simple\", \"sgm_uniform\", \"karras\", \"exponential\", "                  \
    "\"beta\", \"normal\"], {}], "                                                                 \
    "\"positive\": [\"CONDITIONING\", {}], \"negative\": [\"CONDITIONING\", {}], "                 \
    "\"latent_image\": [\"LATENT\", {}]"
#define STEPS                                                                                      \
    "\"steps\": [\"INT\", {\"default\": 20, \"min\": 1, \"max\": 10000}], "                        \
    "\"cfg\": [\"FLOAT\", {\"default\": 8.0, \"min\": 0.0, \"max\": 100.0, \"step\": 0.1, "        \
    "\"round\": 0.01}], "
#define SEED                                                                                       \
    "[\"INT\", {\"default\": 0, \"min\": 0, \"max\": 18446744073709551615, "                       \
    "\"control_after_generate\": true}], "

static const struct node_class classes[] = {
    {"CLIPTextEncode", "conditioning", 8, 0, false, "CONDITIONING",
     "\"text\": [\"STRING\", {\"multiline\": true, \"dynamicPrompts\": true}], " OF("clip", "CLIP"),
     NULL},
    {"CheckpointLoaderSimple", "loaders", 40, 0, false, "MODEL CLIP VAE", MODELS("ckpt_name"),
     NULL},
    {"Child", "comfysim", 0, 0, false, "*", "", NULL},
    {"ControlNetLoader", "loaders", 30, 0, false, "CONTROL_NET", MODELS("control_net_name"), NULL},
    {"DualCLIPLoader", "advanced/loaders", 35, 0, false, "CLIP",
     MODELS("clip_name1") ", " MODELS("clip_name2") ", \"type\": [[\"sdxl\", \"sd3\", \"flux\"], "
                                                    "{}]",
     NULL},
    {"EmptyImage", "image", 3, 0, false, "IMAGE",
     PIXELS("width", "512") ", " PIXELS(
         "height", "512") ", \"batch_size\": [\"INT\", "
                          "{\"default\": 1, \"min\": 1, \"max\": 4096}], \"color\": [\"INT\", "
                          "{\"default\": 0, "
                          "\"min\": 0, \"max\": 16777215, \"step\": 1, \"display\": \"color\"}]",
     NULL},
    {"EmptyLatentImage", "latent", 1, 0, false, "LATENT",
     PIXELS("width", "512") ", " PIXELS("height",
                                        "512") ", \"batch_size\": [\"INT\", "
                                               "{\"default\": 1, \"min\": 1, \"max\": 4096}]",
     NULL},
    {"ImageFilter", "comfysim", 5, 0, false, "IMAGE",
     OF("image", "IMAGE") ", \"style\": [[\"dark\\\\a.yaml\", \"light/b.yaml\"], {}]", NULL},
    {"ImageInvert", "image", 3, 0, false, "IMAGE", OF("image", "IMAGE"), NULL},
    {"ImageScale", "image/upscaling", 6, 0, false, "IMAGE",
     OF("image", "IMAGE") ", \"upscale_method\": [[\"nearest-exact\", \"bilinear\", \"area\", "
                          "\"bicubic\", \"lanczos\"], {}], " PIXELS("width", "512") ", " PIXELS(
                              "height", "512") ", \"crop\": [[\"disabled\", \"center\"], {}]",
     NULL},
    {"KSampler", "sampling", 5, 20, false, "LATENT",
     OF("model", "MODEL") ", \"seed\": " SEED STEPS SAMPLER
                          ", \"denoise\": [\"FLOAT\", {\"default\": 1.0, \"min\": 0.0, \"max\": "
                          "1.0, \"step\": 0.01}]",
     NULL},
    {"KSamplerAdvanced", "sampling", 5, 20, false, "LATENT",
     OF("model", "MODEL") ", \"add_noise\": [[\"enable\", \"disable\"], {}], \"noise_seed\": " SEED
         STEPS SAMPLER ", \"start_at_step\": [\"INT\", {\"default\": 0, \"min\": 0, \"max\": "
                          "10000}], \"end_at_step\": [\"INT\", {\"default\": 10000, \"min\": 0, "
                          "\"max\": 10000}], "
                          "\"return_with_leftover_noise\": [[\"disable\", \"enable\"], {}]",
     NULL},
    {"LatentUpscale", "latent", 2, 0, false, "LATENT",
     OF("samples", "LATENT") ", " PIXELS("width", "512") ", " PIXELS("height", "512"), NULL},
    {"LoadImage", "image", 6, 0, false, "IMAGE MASK",
     "\"image\": [$IMAGES, {\"image_upload\": true}]", NULL},
    {"LoadImageMask", "mask", 6, 0, false, "MASK",
     "\"image\": [$IMAGES, {\"image_upload\": true}], \"channel\": [[\"alpha\", \"red\", "
     "\"green\", \"blue\"], {}]",
     NULL},
    {"LoraLoader", "loaders", 20, 0, false, "MODEL CLIP",
     OF("model", "MODEL") ", " OF("clip", "CLIP") ", " MODELS("lora_name"), NULL},
    {"PreviewImage", "image", 8, 0, true, "", OF("images", "IMAGE"), NULL},
    {"SaveImage", "image", 10, 0, true, "",
     OF("images", "IMAGE") ", \"filename_prefix\": [\"STRING\", {\"default\": \"ComfyUI\"}]", NULL},
    {"SaveImageWebsocket", "api/image", 10, 1, true, "", OF("images", "IMAGE"), NULL},
    {"T_Async", "proftest", 50, 0, false, "*", SECONDS, OF("a", "*")},
    {"T_Block", "proftest", 0, 0, false, "*", STR("message"), OF("a", "*")},
    {"T_Expand", "proftest", 10, 0, false, "*", SECONDS, OF("a", "*")},
    {"T_Lazy", "proftest", 10, 0, false, "*", "\"cond\": [\"BOOLEAN\", {\"default\": true}]",
     "\"a\": [\"*\", {\"lazy\": true}], \"b\": [\"*\", {\"lazy\": true}]"},
    {"T_List", "proftest", 0, 0, false, "*", "\"n\": [\"INT\", {}]", NULL},
    {"T_Raise", "proftest", 10, 0, false, "*",
     SECONDS ", \"kind\": [[\"value\", \"oom\", \"keyerror\", \"sysexit\"], {}]", OF("a", "*")},
    {"T_Sleep", "proftest", 10, 0, false, "*", SECONDS, OF("a", "*") ", " OF("b", "*")},
    {"T_SleepOut", "proftest", 10, 0, true, "*", SECONDS, OF("a", "*")},
    {"T_Text", "proftest", 0, 0, true, "STRING", OF("any", "*") ", \"size\": [\"INT\", {}]", NULL},
    {"T_Volatile", "proftest", 10, 0, false, "*", SECONDS, OF("a", "*")},
    {"UNETLoader", "advanced/loaders", 45, 0, false, "MODEL", MODELS("unet_name"), NULL},
    {"UpscaleModelLoader", "loaders", 15, 0, false, "UPSCALE_MODEL", MODELS("model_name"), NULL},
    {"VAEDecode", "latent", 15, 0, false, "IMAGE", OF("samples", "LATENT") ", " OF("vae", "VAE"),
     NULL},
    {"VAEEncode", "latent", 12, 0, false, "LATENT", OF("pixels", "IMAGE") ", " OF("vae", "VAE"),
     NULL},
    {"VAELoader", "loaders", 12, 0, false, "VAE", MODELS("vae_name"), NULL},
};

static int compare_name(const void *name, const void *class)
{
    return strcmp(name, ((const struct node_class *)class)->name);
}

const struct node_class *class_find(const char *name)
{
    return bsearch(name, classes, sizeof(classes) / sizeof(classes[0]), sizeof(classes[0]),
                   compare_name);
}

size_t class_count(void)
{
    return sizeof(classes) / sizeof(classes[0]);
}

const struct node_class *class_at(size_t index)
{
    return &classes[index];
}

int class_sockets(const struct node_class *class)
{
    int n = class->returns[0] != '\0';
    for (const char *at = class->returns; *at; at++) {
        n += *at == ' ';
    }
    return n;
}

static void expand(const char *spec, const json_t *models, const json_t *images, struct text *out)
{
    while (*spec) {
        const char *mark = strchr(spec, '$');
        if (!mark) {
            text_str(out, spec);
            return;
        }
        text_add(out, spec, (size_t)(mark - spec));
        bool is_models = strncmp(mark, "$MODELS", 7) == 0;
        const json_t *list = is_models ? models : images;
        if (list) {
            text_json(out, list);
        } else {
            text_str(out, is_models ? "\"COMBO\"" : "[]"); /* every model: no list */
        }
        spec = mark + 7; /* both names are as long */
    }
}

/* The names of the members of `spec`, in order, by jansson: this is no hot path. */
static void describe_order(const char *spec, struct text *out)
{
    struct text object = {0};
    TEXT_LIT(&object, "{");
    expand(spec, NULL, NULL, &object);
    TEXT_LIT(&object, "}");
    json_t *value = text_json_load(object.data, object.len);
    text_free(&object);
    const char *key;
    json_t *member;
    bool first = true;
    TEXT_LIT(out, "[");
    json_object_foreach(value, key, member)
    {
        text_printf(out, "%s\"%s\"", first ? "" : ", ", key);
        first = false;
    }
    TEXT_LIT(out, "]");
    json_decref(value);
}

void class_describe(const struct node_class *class, const json_t *models, const json_t *images,
                    struct text *out)
{
    text_printf(out, "\"%s\": {\"input\": {\"required\": {", class->name);
    expand(class->required, models, images, out);
    TEXT_LIT(out, "}");
    if (class->optional) {
        TEXT_LIT(out, ", \"optional\": {");
        expand(class->optional, models, images, out);
        TEXT_LIT(out, "}");
    }
    TEXT_LIT(out, "}, \"input_order\": {\"required\": ");
    describe_order(class->required, out);
    if (class->optional) {
        TEXT_LIT(out, ", \"optional\": ");
        describe_order(class->optional, out);
    }
    TEXT_LIT(out, "}, \"output\": [");
    struct text lists = {0};
    struct text names = {0};
    const char *at = class->returns;
    for (int i = 0; i < class_sockets(class); i++) {
        size_t len = strcspn(at, " ");
        const char *comma = i > 0 ? ", " : "";
        text_printf(&names, "%s\"%.*s\"", comma, (int)len, at);
        text_printf(&lists, "%sfalse", comma);
        at += len + 1;
    }
    text_add(out, names.data, names.len);
    TEXT_LIT(out, "], \"output_is_list\": [");
    text_add(out, lists.data, lists.len);
    TEXT_LIT(out, "], \"output_name\": [");
    text_add(out, names.data, names.len);
    text_printf(out,
                "], \"name\": \"%s\", \"display_name\": \"%s\", \"description\": \"\", "
                "\"python_module\": \"%s\", \"category\": \"%s\", \"output_node\": %s}",
                class->name, class->name,
                strncmp(class->name, "T_", 2) ? "nodes" : "custom_nodes.proftest", class->category,
                class->is_output ? "true" : "false");
    text_free(&lists);
    text_free(&names);
}
