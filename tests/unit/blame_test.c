/*
 * Whose fault a failure is: what exceptions say (core/fault.h), what failures in a row say
 * (core/streak.h), and what refusals bar (core/barred.h).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/core/barred.h"
#include "comfypool/core/fault.h"
#include "comfypool/core/streak.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- exceptions ------------------------------------------------------------------------------ */

static const struct {
    const char *type;
    const char *message;
    enum err want;
    const char *remedy; /* a word of it; NULL: none */
} faults[] = {
    {"torch.AcceleratorError", "CUDA error: an illegal memory access was encountered\nmore\n",
     ERR_SERVER_FAULT, "restart"},
    {"torch.AcceleratorError", "", ERR_SERVER_FAULT, "restart"},
    {"RuntimeError", "CUDA error: device-side assert triggered", ERR_SERVER_FAULT, "restart"},
    {"RuntimeError", "CUDA error: out of memory\n", ERR_SERVER_FAULT, "memory"},
    {"RuntimeError", "HIP error: invalid device function", ERR_SERVER_FAULT, "restart"},
    {"RuntimeError", "MPS backend out of memory (MPS allocated: 18 GB)", ERR_SERVER_FAULT,
     "memory"},
    {"RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB", ERR_SERVER_FAULT, "memory"},
    {"cupy.cuda.memory.OutOfMemoryError", "Out of memory allocating 512 bytes", ERR_SERVER_FAULT,
     "memory"},
    {"RuntimeError", "No CUDA GPUs are available\n", ERR_SERVER_FAULT, "driver"},
    {"RuntimeError", "Found no NVIDIA driver on your system.", ERR_SERVER_FAULT, "driver"},
    {"AssertionError", "Torch not compiled with CUDA enabled", ERR_SERVER_FAULT, "GPU"},
    {"OSError", "[Errno 28] No space left on device: '/out/x.png'", ERR_SERVER_FAULT, "space"},
    {"safetensors_rust.SafetensorError", "I/O error: No space left on device (os error 28)",
     ERR_SERVER_FAULT, "space"},
    {"OSError", "[Errno 122] Disk quota exceeded", ERR_SERVER_FAULT, "space"},
    {"OSError", "[Errno 30] Read-only file system: '/out'", ERR_SERVER_FAULT, "disk"},
    {"MemoryError", "\n", ERR_SERVER_FAULT, "memory"},
    {"numpy.core._exceptions._ArrayMemoryError", "Unable to allocate 4.00 GiB", ERR_SERVER_FAULT,
     "memory"},
    {"RuntimeError",
     "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried",
     ERR_SERVER_FAULT, "memory"},
    {"torch.OutOfMemoryError",
     "Allocation on device 0 would exceed allowed memory. (out of memory)", ERR_OUT_OF_MEMORY,
     NULL},
    {"torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB",
     ERR_OUT_OF_MEMORY, NULL},
    {"torch._C._OutOfMemoryError", "CUDA out of memory", ERR_OUT_OF_MEMORY, NULL},
    {"torch._C.OutOfMemoryError", "", ERR_OUT_OF_MEMORY, NULL},
    {"torch.xpu.OutOfMemoryError", "XPU out of memory. Tried to allocate", ERR_OUT_OF_MEMORY, NULL},
    {"torch.OutOfMemoryError", "CUDA error: out of memory\nCUDA kernel errors might be",
     ERR_OUT_OF_MEMORY, NULL},
    {"torchlike.OutOfMemoryError", "", ERR_SERVER_FAULT, "memory"},
    {"torch.AcceleratorError", "CUDA error: out of memory\nCUDA kernel errors", ERR_SERVER_FAULT,
     "memory"},
    {"RuntimeError", "CUDA unknown error - this may be due to an incorrectly set up environment",
     ERR_SERVER_FAULT, "restart"},
    {"RuntimeError",
     "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
     "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized",
     ERR_SERVER_FAULT, "driver"},
    {"torch.cuda.DeferredCudaCallError",
     "CUDA call failed lazily at initialization with error: device >= 0\n\nCUDA call was "
     "originally",
     ERR_SERVER_FAULT, "driver"},
    {"onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException",
     "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
     "Conv "
     "node. Status Message: CUDA failure 700: an illegal memory access was encountered ; GPU=0",
     ERR_SERVER_FAULT, "restart"},
    {"onnxruntime.capi.onnxruntime_pybind11_state.Fail", "CUDA failure 2: out of memory ; GPU=0",
     ERR_SERVER_FAULT, "memory"},
    {"onnxruntime.capi.onnxruntime_pybind11_state.Fail",
     "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0", ERR_SERVER_FAULT, "restart"},
    {"onnxruntime.capi.onnxruntime_pybind11_state.Fail", "CUBLAS failure 13: ; GPU=0",
     ERR_SERVER_FAULT, "restart"},
    {"OSError", "[WinError 1455] The paging file is too small for this operation to complete.",
     ERR_SERVER_FAULT, "paging file"},
    {"OSError", "[WinError 1455] Die Auslagerungsdatei ist zu klein", ERR_SERVER_FAULT,
     "paging file"},
    {"safetensors_rust.SafetensorError", "The paging file is too small. (os error 1455)",
     ERR_SERVER_FAULT, "paging file"},
    {"OSError", "[WinError 112] Es steht nicht genug Speicherplatz zur Verfuegung",
     ERR_SERVER_FAULT, "space"},
    {"RuntimeError", "Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES) -5",
     ERR_SERVER_FAULT, "memory"},
    {"RuntimeError", "level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)",
     ERR_SERVER_FAULT, "memory"},
    {"RuntimeError", "UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY", ERR_SERVER_FAULT, "memory"},
    {"RuntimeError", "failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)", ERR_SERVER_FAULT,
     "restart"},
    {"RuntimeError", "failed with error: 999 (UR_RESULT_ERROR_UNKNOWN)", ERR_SERVER_FAULT,
     "restart"},
    {"RuntimeError",
     "Could not allocate tensor with 4096 bytes. There is not enough GPU video memory available!",
     ERR_SERVER_FAULT, "memory"},
    {"RuntimeError", "Triton Error [CUDA]: an illegal memory access was encountered",
     ERR_SERVER_FAULT, "restart"},
    {"cupy_backends.cuda.api.driver.CUDADriverError", "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
     ERR_SERVER_FAULT, "memory"},
    {"RuntimeError",
     "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript "
     "(most recent call last):\nRuntimeError: CUDA error: unspecified launch failure",
     ERR_SERVER_FAULT, "restart"},
    {"ValueError", "relationship error: parent missing", ERR_NODE_FAILED, NULL},
    {"ValueError", "Membership error", ERR_NODE_FAILED, NULL},
    {"ValueError", "chip errors", ERR_NODE_FAILED, NULL},
    {"ValueError", "HIP errors are told elsewhere", ERR_NODE_FAILED, NULL},
    {"ValueError", "barracuda failure", ERR_NODE_FAILED, NULL},
    {"OSError", "[WinError 1120] A serial I/O operation was completed", ERR_NODE_FAILED, NULL},
    {"OSError", "[WinError 87] The parameter is incorrect", ERR_NODE_FAILED, NULL},
    {"RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x768 and 1024x320)",
     ERR_NODE_FAILED, NULL},
    {"RuntimeError", "Expected all tensors to be on the same device, but found cuda:0 and cpu!",
     ERR_NODE_FAILED, NULL},
    {"FileNotFoundError", "[Errno 2] No such file or directory: 'disk.png'", ERR_NODE_FAILED, NULL},
    {"ValueError", "", ERR_NODE_FAILED, NULL},
    {"", "", ERR_NODE_FAILED, NULL},
};

START_TEST(a_fault_is_told_by_its_words)
{
    const char *remedy = NULL;
    ck_assert_msg(fault_judge(str_of(faults[_i].type), str_of(faults[_i].message), &remedy) ==
                      faults[_i].want,
                  "%s: %s", faults[_i].type, faults[_i].message);
    ck_assert_msg((remedy == NULL) == (faults[_i].remedy == NULL) &&
                      (remedy == NULL || strstr(remedy, faults[_i].remedy) != NULL),
                  "%s: %s: %s", faults[_i].type, faults[_i].message, remedy);
}
END_TEST

START_TEST(a_message_has_a_first_line)
{
    ck_assert(str_is(fault_first_line(STR(" \n one\ntwo")), "one"));
    ck_assert(str_is(fault_first_line(STR("one \r\n")), "one"));
    ck_assert(str_is(fault_first_line(STR("\n")), ""));
    ck_assert(str_is(fault_first_line((struct str){NULL, 0}), ""));
}
END_TEST

/* ---- in a row
 * ------------------------------------------------------------------------------------
 */

/*
 * What happens to a server with the limits 3, a letter each: its kind (F, B, E, N), workflow,
 * client
 * ("-": none) and exception. Others: "+" something completes there; "eWC" workflow W of client
 * C completes elsewhere; "xWX" exception X came with W elsewhere; "jN" the N-th job's fault is its
 * own; "l" it is let out of quarantine.
 */
static const struct {
    const char *name;
    const char *events;
    enum streak_rule want;
} streaks[] = {
    {"nothing", "", STREAK_NOTHING},
    {"two faults", "Fa-1 Fb-2", STREAK_NOTHING},
    {"three faults of one workflow", "Fa-1 Fa-2 Fa-3", STREAK_FAULTS},
    {"three faults of one author", "Faz1 Faz1 Faz1", STREAK_FAULTS},
    {"faults with a success between", "Fa-1 Fa-1 + Fa-1", STREAK_NOTHING},
    {"faults with a wrong prompt between", "Fa-1 Na-2 Fa-1 Fa-1", STREAK_NOTHING},
    {"one of three faults was the job's own", "Fa-1 Fa-1 Fa-1 j1", STREAK_NOTHING},
    {"three workflows lost", "Ba-0 Bb-0 Bc-0", STREAK_WORKFLOWS},
    {"one workflow lost three times", "Ba-0 Ba-0 Ba-0", STREAK_NOTHING},
    {"three workflows lost, others between", "Ba-0 Na-1 Bb-0 Nb-2 Bc-0", STREAK_WORKFLOWS},
    {"three workflows out of memory", "Ea-1 Eb-2 Ec-3", STREAK_WORKFLOWS},
    {"the same, of one author", "Eaz1 Ebz2 Ecz3", STREAK_NOTHING},
    {"the same, of two", "Eaz1 Eby2 Ecz3", STREAK_WORKFLOWS},
    {"one exception across workflows", "Na-1 Nb-1 Nb-1", STREAK_EXCEPTION},
    {"one exception, one workflow", "Na-1 Na-1 Na-1", STREAK_NOTHING},
    {"different exceptions", "Na-1 Nb-2 Nc-1", STREAK_NOTHING},
    {"no exception was told", "Na-0 Nb-0 Nc-0", STREAK_NOTHING},
    {"one exception, one author", "Naz1 Nbz1 Ncz1", STREAK_NOTHING},
    {"the same, but others' goes well elsewhere", "Naz1 Nbz1 Ncz1 ea-", STREAK_EXCEPTION},
    {"the same, but another one of theirs goes well", "Naz1 Nbz1 Ncz1 edz", STREAK_EXCEPTION},
    {"one exception, two authors", "Naz1 Nby1 Ncz1", STREAK_EXCEPTION},
    {"one exception that comes elsewhere too", "Na-1 Nb-1 Nc-1 xb1", STREAK_NOTHING},
    {"one workflow that goes well elsewhere", "Na-1 Na-2 Na-3 ea-", STREAK_ELSEWHERE},
    {"wrong values, then right ones, by one author", "Naz1 Naz1 Naz1 eaz", STREAK_NOTHING},
    {"the same, time and again", "Naz1 Naz1 Naz1 eaz Naz1 eaz", STREAK_ELSEWHERE},
    {"the same, by anybody", "Naz1 Naz1 Naz1 eay", STREAK_ELSEWHERE},
    {"it went well there before", "ea- Na-1 Na-2 Na-3", STREAK_NOTHING},
    {"out of memory there, and not elsewhere", "Ea-1 Ea-1 Ea-1 ea-", STREAK_NOTHING},
    {"errors for three workflows", "Aa-0 Ab-0 Ac-0", STREAK_WORKFLOWS},
    {"the same, of one author", "Aaz0 Abz0 Acz0", STREAK_NOTHING},
    {"the same, and one was lost", "Aaz0 Bbz0 Acz0", STREAK_WORKFLOWS},
    {"let out, and one more fault", "Fa-1 Fa-1 Fa-1 l Fb-1", STREAK_FAULTS},
    {"let out", "Fa-1 Fa-1 Fa-1 l", STREAK_NOTHING},
    {"many", "Na-1 Nb-2 Nc-1 Nd-2 Na-1 Nb-2 Nc-1 Nd-2 Na-1 Nb-2 Nc-1 Nd-2 Na-1 Nb-2 Na-2 Nb-2",
     STREAK_EXCEPTION},
};

static void happen(struct streak *s, const char *e, int64_t job)
{
    const char workflow[2] = {e[1], '\0'};
    if (e[0] == '+') {
        streak_clear(s);
    } else if (e[0] == 'l') {
        streak_lift(s);
    } else if (e[0] == 'e') {
        streak_completed_elsewhere(s, -1, str_of(workflow), e[2] == '-' ? 0 : (uint64_t)e[2]);
    } else if (e[0] == 'x') {
        ck_assert(streak_forgive_exception(s, str_of(workflow), (uint64_t)(e[2] - '0')));
        ck_assert(!streak_forgive_exception(s, str_of(workflow), (uint64_t)(e[2] - '0')));
    } else if (e[0] == 'j') {
        streak_forgive_job(s, e[1] - '0');
    } else {
        static const char kinds[] = "FBAEN";
        struct streak_failure f = {
            .kind = (enum streak_kind)(strchr(kinds, e[0]) - kinds),
            .job = job,
            .client = e[2] == '-' ? 0 : (uint64_t)e[2],
            .exception = (uint64_t)(e[3] - '0'),
        };
        memcpy(f.workflow, workflow, sizeof workflow);
        streak_add(s, &f, STR("it broke"));
    }
}

START_TEST(failures_in_a_row_are_judged)
{
    struct streak s;
    streak_init(&s, 3, 9);
    ck_assert_uint_eq(s.faults, 3);
    int64_t job = 0;
    AUTO_FREE char *events = mem_strdup(streaks[_i].events);
    char *rest = NULL;
    for (char *e = strtok_r(events, " ", &rest); e != NULL; e = strtok_r(NULL, " ", &rest)) {
        happen(&s, e, ++job);
    }
    AUTO_BUF struct buf why;
    buf_init(&why, 1024);
    ck_assert_msg(streak_judge(&s, &why) == streaks[_i].want, "%s", streaks[_i].name);
    ck_assert_msg((why.len > 0) == (streaks[_i].want != STREAK_NOTHING), "%s", streaks[_i].name);
    ck_assert_msg(why.len == 0 || strstr(buf_text(&why), "it broke") != NULL, "%s",
                  streaks[_i].name);
    ck_assert_uint_le(s.len, 3 * STREAK_KEPT);
    streak_done(&s);
}
END_TEST

START_TEST(one_workflow_that_always_fails_is_an_open_question)
{
    struct streak s;
    streak_init(&s, 2, 2);
    happen(&s, "Na-1", 1);
    ck_assert(!streak_is_open_question(&s, STR("a")));
    happen(&s, "Na-1", 2);
    ck_assert(streak_is_open_question(&s, STR("a")) && !streak_is_open_question(&s, STR("b")));
    happen(&s, "Na-2", 3);
    ck_assert(!streak_is_open_question(&s, STR("a")));
    happen(&s, "Nb-2", 4);
    ck_assert(!streak_is_open_question(&s, STR("b")));
    streak_done(&s);
}
END_TEST

/* One job that fails again and again says nothing of the server. */
START_TEST(one_job_is_no_row)
{
    struct streak s;
    streak_init(&s, 2, 2);
    for (int i = 0; i < 5; i++) {
        happen(&s, "Fa-1", 7);
    }
    ck_assert_uint_eq(s.len, 1);
    ck_assert_int_eq(streak_judge(&s, NULL), STREAK_NOTHING);
    happen(&s, "Fa-1", 8);
    ck_assert_int_eq(streak_judge(&s, NULL), STREAK_FAULTS);
    streak_done(&s);
}
END_TEST

/* Faults do not go by workflow: a breaker that opens first would hide them. */
START_TEST(faults_have_a_limit_of_their_own)
{
    struct streak s;
    streak_init(&s, 5, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(streak_judge(&s, NULL), STREAK_NOTHING);
        happen(&s, "Fa-1", i);
    }
    ck_assert_int_eq(streak_judge(&s, NULL), STREAK_FAULTS);
    streak_lift(&s);
    ck_assert_int_eq(streak_judge(&s, NULL), STREAK_NOTHING);
    happen(&s, "Fb-1", 4);
    ck_assert_int_eq(streak_judge(&s, NULL), STREAK_FAULTS);
    streak_done(&s);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------- */

/* 413 bars sizes from the smallest refused one on, for good; nothing else is tried again. */
START_TEST(sizes_that_were_refused_are_barred)
{
    struct barred b = {0};
    ck_assert(!barred_note(&b, &(struct barred_request){413, true, 5000, 0}));
    ck_assert(!barred_note(&b, &(struct barred_request){413, false, 9000, 0}));
    ck_assert(!barred_note(&b, &(struct barred_request){413, false, 10, 700}));
    ck_assert_ptr_nonnull(strstr(b.why, "POST /upload/image was answered with 413: "));
    ck_assert(barred_limits(&b) && !b.all && !b.files);
    ck_assert(barred_for(&b, 5000, 0, 0, false) && !barred_for(&b, 4999, 0, 0, false));
    ck_assert(barred_for(&b, 10, 1, 700, false) && !barred_for(&b, 10, 1, 699, false));
    ck_assert(!barred_try(&b) && !barred_accepted(&b) && !barred_file_accepted(&b));
    ck_assert_ptr_nonnull(b.why);
    barred_forget_limits(&b);
    ck_assert(!barred_limits(&b) && !barred_for(&b, 1 << 20, 1, 1 << 20, false));
    barred_done(&b);
    ck_assert_ptr_null(b.why);
}
END_TEST

/* Any other refusal bars everything of its kind until one prompt has shown that it is over. */
START_TEST(one_prompt_tries_what_was_refused)
{
    struct barred b = {0};
    ck_assert(barred_note(&b, &(struct barred_request){401, false, 10, 0}));
    ck_assert(b.all && strstr(b.why, "headersFile") != NULL);
    ck_assert(!barred_accepted(&b)); /* it was under way before */
    ck_assert_ptr_nonnull(b.why);
    ck_assert(barred_try(&b) && !b.all);
    ck_assert(barred_accepted(&b) && !barred_accepted(&b));
    ck_assert_ptr_null(b.why);
    /* The try fails: it does not count as one any more. */
    ck_assert(barred_note(&b, &(struct barred_request){502, true, 10, 0}));
    ck_assert(barred_try(&b));
    ck_assert(barred_note(&b, &(struct barred_request){502, true, 10, 0}));
    ck_assert(b.all && !barred_accepted(&b));
    barred_done(&b);
}
END_TEST

START_TEST(one_file_tries_what_was_refused)
{
    struct barred b = {0};
    ck_assert(barred_note(&b, &(struct barred_request){403, true, 10, 300}));
    ck_assert(!b.all && barred_for(&b, 10, 1, 1, false) && !barred_for(&b, 10, 0, 0, false));
    ck_assert(!barred_try(&b)); /* prompts were never barred */
    ck_assert(!barred_for(&b, 10, 1, 1, false) && barred_for(&b, 10, 1, 1, true));
    ck_assert(barred_file_accepted(&b) && !barred_file_accepted(&b));
    ck_assert(!barred_for(&b, 10, 1, 1, true));
    ck_assert_ptr_null(b.why);
    barred_done(&b);
}
END_TEST

Suite *blame_suite(void)
{
    Suite *s = suite_create("blame");
    TCase *c = tcase_create("blame");
    tcase_add_loop_test(c, a_fault_is_told_by_its_words, 0, (int)COUNT(faults));
    tcase_add_test(c, a_message_has_a_first_line);
    tcase_add_loop_test(c, failures_in_a_row_are_judged, 0, (int)COUNT(streaks));
    tcase_add_test(c, one_job_is_no_row);
    tcase_add_test(c, sizes_that_were_refused_are_barred);
    tcase_add_test(c, one_prompt_tries_what_was_refused);
    tcase_add_test(c, one_file_tries_what_was_refused);
    tcase_add_test(c, faults_have_a_limit_of_their_own);
    tcase_add_test(c, one_workflow_that_always_fails_is_an_open_question);
    suite_add_tcase(s, c);
    return s;
}
