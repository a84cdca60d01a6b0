/* What is refused, with which status, and that nothing is written or lost then.
 *
 *     misuse MODEL WEIGHTS SPEC      a mono model; a file of weights only and its spec
 *     misuse --freed MODEL           handles that were freed, which no memory checker lets pass
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <ritornello.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int line;

#define EXPECT(status, call) (line = __LINE__, expect(status, call))

/* A refusal says something, and `word` is in it. */
static void expect(rit_status expected, rit_status found) {
    if (found == expected && (found == RIT_OK || rit_last_error()[0] != '\0')) return;
    fprintf(stderr, "line %d: %s, expected %s: %s\n", line, rit_status_name(found),
            rit_status_name(expected), rit_last_error());
    exit(1);
}

#define SAYS(word) (line = __LINE__, says(word))

static void says(const char *word) {
    if (strstr(rit_last_error(), word) != NULL) return;
    fprintf(stderr, "line %d: '%s' is not in: %s\n", line, word, rit_last_error());
    exit(1);
}

#define ASSERT(true) (line = __LINE__, assert_(true))

static void assert_(int true_) {
    if (true_) return;
    fprintf(stderr, "line %d: not so\n", line);
    exit(1);
}

static char *text(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);
    if (!file || !bytes) exit(2);
    *length = fread(bytes, 1, (1 << 20) - 1, file);
    bytes[*length] = '\0';
    fclose(file);
    return bytes;
}

static void statuses_and_versions(void) {
    char version[32];
    unsigned major = RIT_VERSION_MAJOR, minor = RIT_VERSION_MINOR, patch = RIT_VERSION_PATCH;
    sprintf(version, "%u.%u.%u", major, minor, patch);
    ASSERT(strcmp(rit_version(), version) == 0);
    ASSERT(rit_version_number() == major * 1000000 + minor * 1000 + patch);
    ASSERT(strcmp(rit_status_name(RIT_BUSY), "RIT_BUSY") == 0);
    ASSERT(strcmp(rit_status_name(1), "unknown status") == 0);
    ASSERT(rit_last_error() != NULL && rit_last_error()[0] == '\0');
}

static void models(const char *path, const char *weights, const char *spec_path) {
    rit_model *model = (rit_model *)&line;
    size_t length, spec_length, count;
    char *bytes = text(path, &length), *spec = text(spec_path, &spec_length);
    EXPECT(RIT_IO, rit_model_load("no/such/file.keras", &model));
    SAYS("no/such/file.keras");
    ASSERT(model == NULL);
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load(NULL, &model));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load(path, NULL));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load(path, (rit_model **)((char *)&model + 1)));
    EXPECT(RIT_UNSUPPORTED, rit_model_load(weights, &model));
    SAYS("spec");
    EXPECT(RIT_MODEL_FILE, rit_model_load_with_spec(weights, "{", &model));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load_with_spec(weights, "\xff", &model));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load_with_spec(weights, NULL, &model));
    EXPECT(RIT_OK, rit_model_load_with_spec(weights, spec, &model));
    rit_model_free(model);
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load_memory(NULL, length, &model));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_load_memory(bytes, (size_t)-1, &model));
    EXPECT(RIT_UNSUPPORTED, rit_model_load_memory(NULL, 0, &model));
    EXPECT(RIT_UNSUPPORTED, rit_model_load_memory("nothing known", 13, &model));
    EXPECT(RIT_MODEL_FILE, rit_model_load_memory(bytes, length / 2, &model));
    ASSERT(model == NULL);
    EXPECT(RIT_OK, rit_model_load_memory(bytes, length, &model));
    EXPECT(RIT_OK, rit_model_parameters(model, &count));
    ASSERT(count > 0);
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_parameters(model, NULL));
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_parameters(NULL, &count));
    rit_model_free(model);
    rit_model_free(NULL);
    free(bytes);
    free(spec);
}

static void options(const rit_model *model) {
    struct {
        rit_plan_options known;
        size_t more;
    } newer = {RIT_PLAN_OPTIONS_INIT, 0};
    rit_plan_options given = RIT_PLAN_OPTIONS_INIT;
    rit_plan *plan = NULL;
    EXPECT(RIT_OK, rit_plan_new(model, NULL, &plan));
    rit_plan_free(plan);
    given.isa = "quantum";
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, &given, &plan));
    SAYS("quantum");
    ASSERT(plan == NULL);
    given.isa = NULL;
    given.precision = "f13";
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, &given, &plan));
    given.precision = "f32-split";
    given.tune = "speed";
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, &given, &plan));
    SAYS("latency, throughput");
    given.tune = "throughput";
    EXPECT(RIT_OK, rit_plan_new(model, &given, &plan));
    rit_plan_free(plan);
    plan = NULL;
    given.size = 0;
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, &given, &plan));
    SAYS("INIT");
    newer.known.size = sizeof newer;
    newer.known.isa = "portable";
    newer.known.threads = 2;
    EXPECT(RIT_OK, rit_plan_new(model, &newer.known, &plan));
    {
        rit_plan_info info = RIT_PLAN_INFO_INIT;
        EXPECT(RIT_OK, rit_plan_describe(plan, &info));
        ASSERT(info.threads == 2 && strcmp(info.isa, "portable") == 0);
        info.size = 1;
        EXPECT(RIT_INVALID_ARGUMENT, rit_plan_describe(plan, &info));
    }
    rit_plan_free(plan);
    newer.more = 1;
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, &newer.known, &plan));
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_new(model, NULL, NULL));
    rit_plan_free(NULL);
}

/* Handles of one kind in the place of another, and memory that is none. */
static void handles(rit_model *model, rit_plan *plan, rit_session *session) {
    rit_value_info info = RIT_VALUE_INFO_INIT;
    size_t nothing[8] = {0};
    rit_session *other = NULL;
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset(NULL));
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset((rit_session *)plan));
    SAYS("rit_session");
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset((rit_session *)model));
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset((rit_session *)nothing));
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset((rit_session *)((char *)session + 1)));
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_input((rit_plan *)session, 0, &info));
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_input(plan, 1, &info));
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_output(plan, 7, &info));
    EXPECT(RIT_INVALID_ARGUMENT, rit_plan_output(plan, 0, NULL));
    EXPECT(RIT_INVALID_ARGUMENT, rit_session_new((rit_plan *)model, 1, 1, &other));
    EXPECT(RIT_INVALID_ARGUMENT, rit_session_new(plan, (size_t)-1, 2, &other));
    EXPECT(RIT_OUT_OF_MEMORY, rit_session_new(plan, (size_t)1 << 47, 1, &other));
    ASSERT(other == NULL);
    /* Not freed, since they are no sessions. */
    rit_session_free((rit_session *)plan);
    rit_session_free((rit_session *)nothing);
    EXPECT(RIT_OK, rit_plan_input(plan, 0, &info));
    ASSERT(info.features == 1 && info.shape == RIT_SEQUENCE && info.time == RIT_ANY_TIME);
}

static void data(rit_session *session) {
    float x[8] = {0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F, 0.7F, 0.8F}, y[8];
    rit_input in = {x, 8};
    rit_output out = {y, 8};
    size_t lengths[2] = {4, 5}, count, length, i;
    float *state;
    for (i = 0; i < 8; i++) y[i] = 7.0F;
    EXPECT(RIT_DATA, rit_run(session, &in, 0, &out, 1));
    EXPECT(RIT_DATA, rit_run(session, NULL, 0, &out, 1));
    EXPECT(RIT_INVALID_ARGUMENT, rit_run(session, NULL, 1, &out, 1));
    EXPECT(RIT_DATA, rit_run(session, &in, 1, &out, 0));
    in.length = 7;
    EXPECT(RIT_DATA, rit_run(session, &in, 1, &out, 1));
    in.length = 8;
    out.length = 7;
    EXPECT(RIT_DATA, rit_run(session, &in, 1, &out, 1));
    out.length = 8;
    in.data = NULL;
    EXPECT(RIT_INVALID_ARGUMENT, rit_run(session, &in, 1, &out, 1));
    in.data = (char *)x + 2;
    in.length = 7;
    EXPECT(RIT_INVALID_ARGUMENT, rit_run(session, &in, 1, &out, 1));
    SAYS("multiple of 4");
    in.data = y + 7;
    in.length = 8;
    EXPECT(RIT_INVALID_ARGUMENT, rit_run(session, &in, 1, &out, 1));
    SAYS("overlaps");
    in.data = x;
    EXPECT(RIT_DATA, rit_run_lengths(session, &in, 1, lengths, 1, &out, 1));
    EXPECT(RIT_DATA, rit_run_lengths(session, &in, 1, lengths, 2, &out, 1));
    EXPECT(RIT_INVALID_ARGUMENT, rit_run_lengths(session, &in, 1, NULL, 2, &out, 1));
    EXPECT(RIT_INVALID_ARGUMENT, rit_run_lengths(session, &in, 1, (size_t *)y, 2, &out, 1));
    EXPECT(RIT_DATA, rit_step(session, x, 1, y, 2));
    EXPECT(RIT_DATA, rit_step(session, x, 2, y, 3));
    EXPECT(RIT_INVALID_ARGUMENT, rit_step(session, x, 2, x, 2));
    EXPECT(RIT_INVALID_ARGUMENT, rit_step(session, NULL, 2, y, 2));
    EXPECT(RIT_DATA, rit_reset_row(session, 2));
    EXPECT(RIT_INVALID_ARGUMENT, rit_session_output_length(session, 1, 1, &length));
    EXPECT(RIT_INVALID_ARGUMENT, rit_session_output_length(session, 0, (size_t)-1, &length));
    for (i = 0; i < 8; i++) ASSERT(y[i] == 7.0F);

    /* States: taken after one call, given back after another. */
    EXPECT(RIT_OK, rit_run(session, &in, 1, &out, 1));
    EXPECT(RIT_OK, rit_state_size(session, &count, &length));
    state = malloc(length * sizeof(float));
    EXPECT(RIT_DATA, rit_state_get(session, state, length - 1));
    EXPECT(RIT_OK, rit_state_get(session, state, length));
    EXPECT(RIT_OK, rit_run(session, &in, 1, &out, 1));
    {
        float again[8];
        rit_output other = {again, 8};
        rit_state_info info = RIT_STATE_INFO_INIT;
        size_t end = 0;
        EXPECT(RIT_DATA, rit_state_set(session, state, length + 1));
        EXPECT(RIT_OK, rit_state_set(session, state, length));
        EXPECT(RIT_OK, rit_run(session, &in, 1, &other, 1));
        ASSERT(memcmp(y, again, sizeof y) == 0);
        EXPECT(RIT_OK, rit_reset(session));
        EXPECT(RIT_OK, rit_run(session, &in, 1, &other, 1));
        ASSERT(memcmp(y, again, sizeof y) != 0);
        for (i = 0; i < count; i++) {
            EXPECT(RIT_OK, rit_state_describe(session, i, &info));
            ASSERT(info.offset == end && info.batch == 2 && info.name[0] != '\0');
            end += info.directions * info.batch * info.features;
        }
        ASSERT(end == length);
        EXPECT(RIT_INVALID_ARGUMENT, rit_state_describe(session, count, &info));
    }
    free(state);
}

struct caller {
    rit_session *session;
    float *x, *y;
    unsigned long done, busy;
};

#define BUSY_STEPS 4096
#define CALLS 40

static void *call(void *given) {
    struct caller *caller = given;
    rit_input in = {caller->x, 2 * BUSY_STEPS};
    rit_output out = {caller->y, 2 * BUSY_STEPS};
    int i;
    for (i = 0; i < CALLS; i++) {
        rit_status status = rit_run(caller->session, &in, 1, &out, 1);
        if (status == RIT_OK) caller->done++;
        if (status == RIT_BUSY) caller->busy++;
    }
    return NULL;
}

/* One session, two threads: every call runs alone or is refused. */
static void threads(rit_session *session) {
    struct caller callers[2];
    pthread_t thread[2];
    unsigned long busy = 0;
    int i, attempt;
    for (i = 0; i < 2; i++) {
        callers[i].session = session;
        callers[i].x = calloc(2 * BUSY_STEPS, sizeof(float));
        callers[i].y = calloc(2 * BUSY_STEPS, sizeof(float));
    }
    for (attempt = 0; attempt < 20 && busy == 0; attempt++) {
        for (i = 0; i < 2; i++) {
            callers[i].done = callers[i].busy = 0;
            if (pthread_create(&thread[i], NULL, call, &callers[i]) != 0) exit(2);
        }
        for (i = 0; i < 2; i++) {
            pthread_join(thread[i], NULL);
            ASSERT(callers[i].done + callers[i].busy == CALLS);
            busy += callers[i].busy;
        }
        ASSERT(callers[0].done + callers[1].done > 0);
    }
    ASSERT(busy > 0);
    for (i = 0; i < 2; i++) {
        free(callers[i].x);
        free(callers[i].y);
    }
}

/* What lives after what it was made of is gone. */
static void lives_on(const char *path) {
    rit_model *model = NULL;
    rit_plan *plan = NULL;
    rit_session *session = NULL;
    float x = 0.5F, y = 0.0F;
    EXPECT(RIT_OK, rit_model_load(path, &model));
    EXPECT(RIT_OK, rit_plan_new(model, NULL, &plan));
    rit_model_free(model);
    EXPECT(RIT_OK, rit_session_new(plan, 1, 1, &session));
    rit_plan_free(plan);
    EXPECT(RIT_OK, rit_step(session, &x, 1, &y, 1));
    rit_session_free(session);
}

static int freed(const char *path) {
    rit_model *model = NULL;
    rit_plan *plan = NULL;
    rit_session *session = NULL;
    size_t count;
    EXPECT(RIT_OK, rit_model_load(path, &model));
    EXPECT(RIT_OK, rit_plan_new(model, NULL, &plan));
    EXPECT(RIT_OK, rit_session_new(plan, 1, 1, &session));
    rit_session_free(session);
    EXPECT(RIT_INVALID_ARGUMENT, rit_reset(session));
    SAYS("freed");
    rit_session_free(session);
    rit_model_free(model);
    EXPECT(RIT_INVALID_ARGUMENT, rit_model_parameters(model, &count));
    rit_plan_free(plan);
    EXPECT(RIT_INVALID_ARGUMENT, rit_session_new(plan, 1, 1, &session));
    printf("misuse: handles that were freed are refused\n");
    return 0;
}

int main(int argc, char **argv) {
    rit_model *model = NULL;
    rit_plan *plan = NULL;
    rit_session *session = NULL;
    if (argc == 3 && strcmp(argv[1], "--freed") == 0) return freed(argv[2]);
    if (argc != 4) return 2;
    statuses_and_versions();
    models(argv[1], argv[2], argv[3]);
    EXPECT(RIT_OK, rit_model_load(argv[1], &model));
    options(model);
    EXPECT(RIT_OK, rit_plan_new(model, NULL, &plan));
    EXPECT(RIT_OK, rit_session_new(plan, 2, 4, &session));
    handles(model, plan, session);
    data(session);
    threads(session);
    rit_session_free(session);
    rit_session_free(NULL);
    rit_plan_free(plan);
    rit_model_free(model);
    lives_on(argv[1]);
    printf("misuse: all is refused that should be\n");
    return 0;
}
