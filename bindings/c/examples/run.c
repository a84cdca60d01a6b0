/* Loads a model, says what it is, and runs it on a sine, whole and step by step.
 *
 *     run MODEL [STEPS]
 */
#include <math.h>
#include <ritornello.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, rit_status status) {
    if (status == RIT_OK) return 0;
    fprintf(stderr, "%s: %s: %s\n", what, rit_status_name(status), rit_last_error());
    return 1;
}

/* Runs `time` steps at once, then the same one by one, and compares. */
static int compare(rit_session *session, const float *x, size_t x_length, float *y, float *steps,
                   size_t y_length, size_t time) {
    rit_input input = {x, x_length};
    rit_output output = {y, y_length};
    size_t from = x_length / time, to = y_length / time, t;
    if (failed("run", rit_run(session, &input, 1, &output, 1))) return 1;
    if (failed("reset", rit_reset(session))) return 1;
    for (t = 0; t < time; t++) {
        if (failed("step", rit_step(session, x + t * from, from, steps + t * to, to))) return 1;
    }
    if (memcmp(y, steps, y_length * sizeof(float)) != 0) {
        fprintf(stderr, "a stream, step by step, differs from the whole\n");
        return 1;
    }
    printf("%lu steps, last output %g: whole and step by step, the same bits\n",
           (unsigned long)time, (double)y[y_length - 1]);
    return 0;
}

static int run(const rit_plan *plan, size_t time) {
    rit_session *session = NULL;
    size_t x_length = 0, y_length = 0, i;
    float *x = NULL, *y = NULL, *steps = NULL;
    int code = 1;
    if (failed("session", rit_session_new(plan, 1, time, &session))) goto done;
    if (failed("input", rit_session_input_length(session, 0, time, &x_length))) goto done;
    if (failed("output", rit_session_output_length(session, 0, time, &y_length))) goto done;
    x = malloc(x_length * sizeof(float));
    y = malloc(y_length * sizeof(float));
    steps = malloc(y_length * sizeof(float));
    if (!x || !y || !steps) goto done;
    for (i = 0; i < x_length; i++) x[i] = (float)sin(0.1 * (double)i);
    code = compare(session, x, x_length, y, steps, y_length, time);
done:
    free(x);
    free(y);
    free(steps);
    rit_session_free(session);
    return code;
}

int main(int argc, char **argv) {
    rit_model *model = NULL;
    rit_plan *plan = NULL;
    rit_plan_options options = RIT_PLAN_OPTIONS_INIT;
    rit_plan_info info = RIT_PLAN_INFO_INIT;
    size_t time = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 100;
    int code = 1;
    if (argc < 2 || time == 0) {
        fprintf(stderr, "usage: run MODEL [STEPS]\n");
        return 2;
    }
    options.threads = 1;
    if (failed("load", rit_model_load(argv[1], &model))) goto done;
    if (failed("plan", rit_plan_new(model, &options, &plan))) goto done;
    if (failed("describe", rit_plan_describe(plan, &info))) goto done;
    printf("ritornello %s\n%s", rit_version(), info.explanation);
    code = run(plan, time);
done:
    rit_plan_free(plan);
    rit_model_free(model);
    return code;
}
