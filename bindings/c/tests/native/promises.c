/* The promise of ritornello.h: with one thread, rit_run, rit_step and rit_reset that succeed never
 * allocate, free, lock or wait, whatever the model's inputs and outputs are.
 *
 *     promises MODEL...
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <ritornello.h>
#include <stdio.h>
#include <stdlib.h>

#include "counting.h"

#define MOST 16

static int check(rit_status status, const char *what) {
    if (status == RIT_OK) return 0;
    fprintf(stderr, "%s: %s: %s\n", what, rit_status_name(status), rit_last_error());
    exit(1);
}

static void none(unsigned long calls, const char *what, const char *model) {
    if (calls == 0) return;
    fprintf(stderr, "%s: %s: %lu calls of the allocator or of locks\n", model, what, calls);
    exit(1);
}

/* What the counter must see, or it proves nothing. */
static void the_counter_counts(void) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    volatile unsigned long expected = 0;
    void *volatile memory;
    counting_start();
    memory = malloc(8);
    free(memory);
    if (posix_memalign((void **)&memory, 64, 64) == 0) free(memory);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    expected = counting_stop();
    if (expected != 5) {
        fprintf(stderr, "the counter saw %lu calls of 5\n", expected);
        exit(1);
    }
}

/* Of a model that is loaded while the counter runs, it sees the library's calls. */
static void the_library_is_seen(const char *path) {
    rit_model *model = NULL;
    unsigned long calls;
    counting_start();
    check(rit_model_load(path, &model), path);
    rit_model_free(model);
    calls = counting_stop();
    if (calls < 10) {
        fprintf(stderr, "%s: loading made %lu calls only: the library is not watched\n", path, calls);
        exit(1);
    }
}

static void *numbers(size_t length, rit_element element) {
    float *floats = malloc(length * sizeof(float) + 1);
    size_t i;
    if (!floats) exit(1);
    for (i = 0; i < length; i++) floats[i] = (float)(i * 37 % 251) / 251.0F - 0.5F;
    /* Rows of a table: the first is there. */
    for (i = 0; element == RIT_I32 && i < length; i++) ((int32_t *)floats)[i] = 0;
    return floats;
}

static void run(const char *path, size_t batch, size_t time) {
    rit_model *model = NULL;
    rit_plan *plan = NULL;
    rit_session *session = NULL;
    rit_plan_options options = RIT_PLAN_OPTIONS_INIT;
    rit_plan_info info = RIT_PLAN_INFO_INIT;
    rit_input inputs[MOST];
    rit_output outputs[MOST];
    size_t lengths[8] = {0}, i, count, length;
    int steps = 1, follows_caller = 0;
    float *state;
    unsigned long calls;
    options.threads = 1;
    check(rit_model_load(path, &model), path);
    check(rit_plan_new(model, &options, &plan), path);
    check(rit_session_new(plan, batch, time, &session), path);
    check(rit_plan_describe(plan, &info), path);
    if (info.inputs > MOST || info.outputs > MOST) exit(1);
    for (i = 0; i < info.inputs; i++) {
        rit_value_info value = RIT_VALUE_INFO_INIT;
        check(rit_plan_input(plan, i, &value), path);
        check(rit_session_input_length(session, i, time, &inputs[i].length), path);
        inputs[i].data = numbers(inputs[i].length, value.element);
        follows_caller = follows_caller || value.time == RIT_ANY_TIME;
        steps = steps && value.element == RIT_F32 && value.time == RIT_ANY_TIME;
    }
    for (i = 0; i < info.outputs; i++) {
        check(rit_session_output_length(session, i, time, &outputs[i].length), path);
        outputs[i].data = numbers(outputs[i].length, RIT_F32);
    }

    counting_start();
    for (i = 0; i < 3; i++) {
        check(rit_run(session, inputs, info.inputs, outputs, info.outputs), path);
    }
    check(rit_reset(session), path);
    check(rit_reset_row(session, batch - 1), path);
    none(counting_stop(), "rit_run and rit_reset", path);

    check(rit_state_size(session, &count, &length), path);
    state = numbers(length, RIT_F32);
    counting_start();
    check(rit_state_get(session, state, length), path);
    check(rit_state_set(session, state, length), path);
    none(counting_stop(), "rit_state_get and rit_state_set", path);

    if (follows_caller) {
        check(rit_session_reserve_lengths(session), path);
        /* Different lengths, and long enough for models that take one of the first steps. */
        for (i = 0; i < batch; i++) lengths[i] = time - i;
        counting_start();
        check(rit_run_lengths(session, inputs, info.inputs, lengths, batch, outputs, info.outputs),
              path);
        none(counting_stop(), "rit_run_lengths", path);
    }

    if (steps && info.causal && info.inputs == 1 && info.outputs == 1) {
        float *x = numbers(inputs[0].length / time, RIT_F32);
        size_t x_length = inputs[0].length / time, y_length;
        check(rit_session_output_length(session, 0, 1, &y_length), path);
        counting_start();
        for (i = 0; i < 20; i++) {
            check(rit_step(session, x, x_length, outputs[0].data, y_length), path);
        }
        calls = counting_stop();
        none(calls, "rit_step", path);
        free(x);
    }

    for (i = 0; i < info.inputs; i++) free((void *)inputs[i].data);
    for (i = 0; i < info.outputs; i++) free(outputs[i].data);
    free(state);
    rit_session_free(session);
    rit_plan_free(plan);
    rit_model_free(model);
}

int main(int argc, char **argv) {
    int i;
    the_counter_counts();
    for (i = 1; i < argc; i++) {
        the_library_is_seen(argv[i]);
        run(argv[i], 1, 12);
        run(argv[i], 5, 12);
    }
    printf("promises: %d models, no call of the allocator or of locks\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
