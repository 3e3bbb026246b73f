/* The fuzz targets: each takes any bytes and aborts when something does not hold. */
#ifndef COMFYPOOL_TESTS_FUZZ_FUZZ_H
#define COMFYPOOL_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int fuzz_decoder(const uint8_t *data, size_t size);
int fuzz_ws_frames(const uint8_t *data, size_t size);
int fuzz_profiler(const uint8_t *data, size_t size);
int fuzz_frames(const uint8_t *data, size_t size);
int fuzz_workflow(const uint8_t *data, size_t size);
int fuzz_bodies(const uint8_t *data, size_t size);
int fuzz_headers(const uint8_t *data, size_t size);
int fuzz_config(const uint8_t *data, size_t size);
int fuzz_tokens(const uint8_t *data, size_t size);
int fuzz_rollups(const uint8_t *data, size_t size);
int fuzz_multipart(const uint8_t *data, size_t size);
int fuzz_catalog(const uint8_t *data, size_t size);
int fuzz_gzip(const uint8_t *data, size_t size);
int fuzz_credentials(const uint8_t *data, size_t size);

#endif
