/**
 * @file ritornello.h
 * Recurrent networks (Elman RNN, LSTM, GRU) on CPUs: the C interface of ritornello.
 *
 *     rit_model    what is computed       rit_model_load()
 *     rit_plan     how this machine does  rit_plan_new()
 *     rit_session  one stream             rit_session_new(), rit_run(), rit_step(), rit_reset()
 *
 * Promises:
 *
 * - Real time. With one thread (rit_plan_options.threads = 1), a call of rit_run(), rit_step() or
 *   rit_reset() that succeeds never allocates, frees, locks, waits or reads a file. What each function
 *   says under "Real time" counts. A call that is refused writes its message, which may allocate. The
 *   level "portable", for CPUs without AVX2, allocates in large layers. Nothing here is safe in a
 *   signal handler.
 * - Nothing unwinds, exits or aborts, but for lack of memory outside rit_session_new().
 * - Threads. Models and plans never change: any number of threads may use one. A session belongs to
 *   one thread at a time; a second one gets #RIT_BUSY. A handle is freed once, when nobody uses it.
 * - Bits. A model and the plan's options define one result: batch, threads, blocks and the
 *   instruction set (AVX2, AVX-512) change nothing.
 *
 * What is asked of the caller:
 *
 * - Pointers. A handle is one that was made here, and not freed. Null, misaligned memory, handles of
 *   another kind and most of those that were freed are refused; that memory is as long as its length
 *   says cannot be checked. A length of 0 may come with a null pointer. Texts end with a zero.
 * - Lengths count floats (or int32_t), never bytes. Memory is dense, the last axis fastest.
 * - The floating-point environment is the default one: rounding to nearest, subnormal numbers kept.
 *   There is no need of flush-to-zero: states that decay are flushed here. Where a host has turned it
 *   on, turn it off around calls, or results may differ in their last bits.
 * - The caller owns what it passes; nothing of it is kept after a call.
 *
 * Structs whose first member is `size` may grow: begin with their INIT macro.
 */


#ifndef RITORNELLO_H
#define RITORNELLO_H

#include <stddef.h>
#include <stdint.h>

/** The time of a sequence that has as many steps as the caller gives. */
#define RIT_ANY_TIME SIZE_MAX

/** Defaults of #rit_plan_options. */
#define RIT_PLAN_OPTIONS_INIT { sizeof(rit_plan_options), 0, NULL, NULL, NULL }
/** What rit_plan_describe() fills in. */
#define RIT_PLAN_INFO_INIT { sizeof(rit_plan_info), 0, 0, 0, 0, 0, NULL, NULL, NULL, RIT_BATCH_TIME }
/** What rit_plan_input() and rit_plan_output() fill in. */
#define RIT_VALUE_INFO_INIT { sizeof(rit_value_info), NULL, 0, 0, 0, RIT_SEQUENCE, RIT_F32 }
/** What rit_state_describe() fills in. */
#define RIT_STATE_INFO_INIT { sizeof(rit_state_info), NULL, 0, 0, 0, 0 }


/**
 * The version that this header is of: a change of it breaks programs, while it is 0 so does one of
 * #RIT_VERSION_MINOR.
 */
#define RIT_VERSION_MAJOR 0

/**
 * The second number of the version.
 */
#define RIT_VERSION_MINOR 1

/**
 * The third number of the version.
 */
#define RIT_VERSION_PATCH 0



/**
 * How a call ended. Whatever is not #RIT_OK leaves a message in rit_last_error().
 *
 * The codes from 2 to 5 mean what the exit codes of the command `ritornello` mean.
 */
typedef enum {
    /**
     * All is done.
     */
    RIT_OK = 0,
    /**
     * A pointer is null, misaligned, or no handle of this kind; memory overlaps; an option has a
     * value that it cannot have.
     */
    RIT_INVALID_ARGUMENT = 2,
    /**
     * The model file, or its spec, is damaged, lacks something, or holds something that nothing
     * uses.
     */
    RIT_MODEL_FILE = 3,
    /**
     * The data does not fit the model: a length, an index, a time.
     */
    RIT_DATA = 4,
    /**
     * The operating system refused to read a file.
     */
    RIT_IO = 5,
    /**
     * Another thread is inside a call with this session.
     */
    RIT_BUSY = 6,
    /**
     * Known, but not run here; the message says what to do instead.
     */
    RIT_UNSUPPORTED = 7,
    /**
     * There is not that much memory.
     */
    RIT_OUT_OF_MEMORY = 8,
    /**
     * A fault of the library, caught. A session in which it happened takes no more calls.
     */
    RIT_PANIC = 9,
} rit_status;

/**
 * The order of the first two axes of sequences.
 */
typedef enum {
    /**
     * `[batch, time, features]`, as in Keras and in PyTorch with batch_first=True.
     */
    RIT_BATCH_TIME = 0,
    /**
     * `[time, batch, features]`, as in PyTorch without it.
     */
    RIT_TIME_BATCH = 1,
} rit_axes;

/**
 * What the axes of an input or output are. All memory is dense, the last axis fastest.
 */
typedef enum {
    /**
     * `[batch, time, features]`, or `[time, batch, features]` if the plan's axes say so.
     */
    RIT_SEQUENCE = 0,
    /**
     * `[batch, features]`
     */
    RIT_VECTOR = 1,
    /**
     * `[time, batch, features]`, where time counts states and not steps.
     */
    RIT_STATES = 2,
} rit_shape;

/**
 * What the numbers of an input are.
 */
typedef enum {
    /**
     * float
     */
    RIT_F32 = 0,
    /**
     * int32_t: rows of an embedding's table. There is no axis of features.
     */
    RIT_I32 = 1,
} rit_element;

/**
 * What is computed: layers and their weights. Immutable: threads may share one.
 */
typedef struct rit_model rit_model;

/**
 * How this machine computes a model: weights packed, kernels chosen. Immutable: threads may share
 * one.
 */
typedef struct rit_plan rit_plan;

/**
 * One stream: states that live from call to call, and buffers for a fixed batch. One thread at a
 * time: who comes second gets #RIT_BUSY.
 */
typedef struct rit_session rit_session;

/**
 * How a model is to be run. Begin with #RIT_PLAN_OPTIONS_INIT; what is 0 or null has its default.
 */
typedef struct {
    /**
     * sizeof(rit_plan_options), which tells the library which members there are.
     */
    size_t size;
    /**
     * The threads, of which the caller's is one. 0: as many as the environment variable
     * RITORNELLO_THREADS says, or 1. With 1 no call allocates or locks.
     */
    size_t threads;
    /**
     * The level: "portable", "avx2" or "avx512". Null: the best that the CPU has, or what the
     * environment variable RITORNELLO_ISA says.
     */
    const char *isa;
    /**
     * What the arithmetic may be: "f32", "f32-split", as exact, for a matrix unit where there is one, "bf16" for
     * weights in half the memory, by which such a unit multiplies inputs and states of bf16, or "int8" for those
     * of recurrent layers in a quarter, multiplied by inputs and states of 8 bits. Null: "f32".
     */
    const char *precision;
    /**
     * What kernels are chosen for, where the precision leaves a choice, as "f32-split" and "bf16" do: "latency" or
     * "throughput". Null: "latency".
     */
    const char *tune;
} rit_plan_options;

/**
 * What a plan is. Begin with #RIT_PLAN_INFO_INIT. Texts live as long as the plan.
 */
typedef struct {
    /**
     * sizeof(rit_plan_info), which tells the library which members there are.
     */
    size_t size;
    /**
     * How many inputs it has.
     */
    size_t inputs;
    /**
     * How many outputs it has.
     */
    size_t outputs;
    /**
     * 1 if a sequence may be given in pieces, and steps one by one; 0 if every call needs a whole
     * sequence.
     */
    size_t causal;
    /**
     * The threads, of which the caller's is one.
     */
    size_t threads;
    /**
     * The bytes of the packed weights.
     */
    size_t packed_bytes;
    /**
     * The level: "portable", "avx2" or "avx512".
     */
    const char *isa;
    /**
     * What the arithmetic is: "f32", "f32-split", "bf16" or "int8".
     */
    const char *precision;
    /**
     * What was chosen for each layer, and why: several lines.
     */
    const char *explanation;
    /**
     * The order of the axes of sequences.
     */
    rit_axes axes;
} rit_plan_info;

/**
 * What an input or output is. Begin with #RIT_VALUE_INFO_INIT. Texts live as long as the plan.
 */
typedef struct {
    /**
     * sizeof(rit_value_info), which tells the library which members there are.
     */
    size_t size;
    /**
     * Its name.
     */
    const char *name;
    /**
     * Steps of a sequence, or #RIT_ANY_TIME; the number of states; 1 of a vector.
     */
    size_t time;
    /**
     * The index of the input whose steps it has, where time is #RIT_ANY_TIME; else 0.
     */
    size_t follows;
    /**
     * The size of a row; 1 of indices.
     */
    size_t features;
    /**
     * What its axes are.
     */
    rit_shape shape;
    /**
     * What its numbers are.
     */
    rit_element element;
} rit_value_info;

/**
 * Memory of an input.
 */
typedef struct {
    /**
     * float, or int32_t where the input is of indices (rit_plan_input()).
     */
    const void *data;
    /**
     * How many there are: rit_session_input_length().
     */
    size_t length;
} rit_input;

/**
 * Memory of an output.
 */
typedef struct {
    /**
     * Where it is written.
     */
    float *data;
    /**
     * How many floats there is room for: exactly rit_session_output_length().
     */
    size_t length;
} rit_output;

/**
 * An array among the states. Begin with #RIT_STATE_INFO_INIT. Texts live as long as the session.
 */
typedef struct {
    /**
     * sizeof(rit_state_info), which tells the library which members there are.
     */
    size_t size;
    /**
     * Its name: `LAYER.h` or `LAYER.c`.
     */
    const char *name;
    /**
     * Where it begins among the floats of rit_state_get().
     */
    size_t offset;
    /**
     * The first axis of `[directions, batch, features]`.
     */
    size_t directions;
    /**
     * The second axis.
     */
    size_t batch;
    /**
     * The last axis, which is dense.
     */
    size_t features;
} rit_state_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is linked, such as "0.1.0".
 *
 * @return text that is always valid.
 *
 * Real time: may be called.
 */
const char *rit_version(void);

/**
 * The version of the library that is linked as one number: major × 1000000 + minor × 1000 + patch.
 *
 * Real time: may be called.
 */
uint32_t rit_version_number(void);

/**
 * The message of the last call on this thread that did not give #RIT_OK.
 *
 * It says what was refused, where, what was expected and what was found, in UTF-8, and is cut after
 * 2047 bytes.
 *
 * @return text that is valid until the next call on this thread that fails; empty before the first.
 *     Never null. Not to be freed.
 *
 * Real time: may be called; the first call of a thread may allocate its memory for the message.
 */
const char *rit_last_error(void);

/**
 * The name of a status, such as "RIT_BUSY".
 *
 * @param status  any number
 * @return text that is always valid; "unknown status" for a number that is none. Never null.
 *
 * Real time: may be called.
 */
const char *rit_status_name(int status);

/**
 * Reads a model file: what the library reads by itself, such as `.keras`, or the `.safetensors` of
 * `ritornello convert`.
 *
 * @param path  the file; UTF-8, on Unix any bytes
 * @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
 * @return #RIT_OK; #RIT_IO if the file cannot be read; #RIT_MODEL_FILE if it is damaged;
 *     #RIT_UNSUPPORTED if it is of another kind, holds something that is not run here, or needs a
 *     spec (rit_model_load_with_spec()); #RIT_INVALID_ARGUMENT
 *
 * Real time: not to be called.
 */
rit_status rit_model_load(const char *path, rit_model **model);

/**
 * The same for a file that is in memory, such as one that a plugin embeds. The bytes are not needed
 * after the call.
 *
 * @param bytes  the whole file
 * @param length  its bytes
 * @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
 * @return as rit_model_load(), but for #RIT_IO
 *
 * Real time: not to be called.
 */
rit_status rit_model_load_memory(const void *bytes, size_t length, rit_model **model);

/**
 * Reads a file of weights only, such as a PyTorch state_dict as `.safetensors` or an `.npz`, and
 * takes the layers from a spec.
 *
 * @param path  the file; UTF-8, on Unix any bytes
 * @param spec  the text of the spec, JSON (docs/spec.schema.json); `ritornello inspect --spec`
 *     drafts one
 * @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
 * @return as rit_model_load(); #RIT_MODEL_FILE also if the spec and the weights do not fit
 *
 * Real time: not to be called.
 */
rit_status rit_model_load_with_spec(const char *path, const char *spec, rit_model **model);

/**
 * The same for weights that are in memory. Neither the bytes nor the spec are needed after the call.
 *
 * @param bytes  the whole file
 * @param length  its bytes
 * @param spec  the text of the spec, JSON
 * @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
 * @return as rit_model_load_with_spec(), but for #RIT_IO
 *
 * Real time: not to be called.
 */
rit_status rit_model_load_memory_with_spec(const void *bytes,
                                           size_t length,
                                           const char *spec,
                                           rit_model **model);

/**
 * The number of weights and biases.
 *
 * @param model  a model
 * @param count  gets the number
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT
 *
 * Real time: may be called.
 */
rit_status rit_model_parameters(const rit_model *model, size_t *count);

/**
 * Frees a model. Plans made of it live on: they have weights of their own.
 *
 * @param model  a model, or null
 *
 * Real time: not to be called.
 */
void rit_model_free(rit_model *model);

/**
 * Makes a model ready for this machine: packs every weight, chooses every kernel.
 *
 * @param model  a model, which may be freed after the call
 * @param options  how it is to be run, or null for the defaults
 * @param plan  gets the plan, which rit_plan_free() frees; null unless the call succeeds
 * @return #RIT_OK; #RIT_UNSUPPORTED if the CPU lacks the level, or the system gives no threads;
 *     #RIT_INVALID_ARGUMENT, also for an unknown level, precision or aim
 *
 * Real time: not to be called.
 */
rit_status rit_plan_new(const rit_model *model, const rit_plan_options *options, rit_plan **plan);

/**
 * What a plan is.
 *
 * @param plan  a plan
 * @param info  gets what it is; its size says how much of that
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT
 *
 * Real time: may be called.
 */
rit_status rit_plan_describe(const rit_plan *plan, rit_plan_info *info);

/**
 * What an input of a plan is.
 *
 * @param plan  a plan
 * @param index  which one, from 0
 * @param info  gets what it is; its size says how much of that
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such input
 *
 * Real time: may be called.
 */
rit_status rit_plan_input(const rit_plan *plan, size_t index, rit_value_info *info);

/**
 * What an output of a plan is.
 *
 * @param plan  a plan
 * @param index  which one, from 0
 * @param info  gets what it is; its size says how much of that
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such output
 *
 * Real time: may be called.
 */
rit_status rit_plan_output(const rit_plan *plan, size_t index, rit_value_info *info);

/**
 * The bytes that a session of a plan takes, but for what steps that do not count need
 * (rit_session_reserve_lengths()).
 *
 * @param plan  a plan
 * @param batch  rows
 * @param max_time  steps that the buffers are for
 * @param bytes  gets the number; SIZE_MAX if there is none so large
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT
 *
 * Real time: may be called.
 */
rit_status rit_plan_workspace_bytes(const rit_plan *plan,
                                    size_t batch,
                                    size_t max_time,
                                    size_t *bytes);

/**
 * Frees a plan. Sessions made of it live on.
 *
 * @param plan  a plan, or null
 *
 * Real time: not to be called.
 */
void rit_plan_free(rit_plan *plan);

/**
 * Makes a session: all memory that its calls will need.
 *
 * A causal model runs sequences of any length in it, `max_time` steps at once; others up to
 * `max_time`. States are as the model starts: zero, or what it has learned.
 *
 * @param plan  a plan, which may be freed after the call
 * @param batch  rows, which are independent of each other
 * @param max_time  steps that the buffers are for; for a stream the largest block, 1 for single
 *     steps
 * @param session  gets the session, which rit_session_free() frees; null unless the call succeeds
 * @return #RIT_OK; #RIT_OUT_OF_MEMORY; #RIT_INVALID_ARGUMENT, also if the buffers are larger than
 *     an address can say
 *
 * Real time: not to be called.
 */
rit_status rit_session_new(const rit_plan *plan,
                           size_t batch,
                           size_t max_time,
                           rit_session **session);

/**
 * Takes the memory of rit_run_lengths() now, so that not even its first call allocates. A model that
 * leaves steps out by masks of its own has it from the beginning.
 *
 * @param session  a session
 * @return #RIT_OK; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
 *
 * Real time: not to be called.
 */
rit_status rit_session_reserve_lengths(rit_session *session);

/**
 * How many numbers an input has in a call.
 *
 * @param session  a session
 * @param input  which one, from 0
 * @param time  the steps of the call, which count for sequences of #RIT_ANY_TIME only
 * @param length  gets the number: floats, or int32_t where the input is of indices
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such input, or that many numbers
 *     cannot be in memory
 *
 * Real time: may be called.
 */
rit_status rit_session_input_length(const rit_session *session,
                                    size_t input,
                                    size_t time,
                                    size_t *length);

/**
 * How many floats an output has in a call.
 *
 * @param session  a session
 * @param output  which one, from 0
 * @param time  the steps of the input that the output follows
 * @param length  gets the number
 * @return as rit_session_input_length()
 *
 * Real time: may be called.
 */
rit_status rit_session_output_length(const rit_session *session,
                                     size_t output,
                                     size_t time,
                                     size_t *length);

/**
 * Frees a session. One that another thread is using is left alone: rit_last_error() says so, and
 * its memory is lost.
 *
 * @param session  a session, or null
 *
 * Real time: not to be called.
 */
void rit_session_free(rit_session *session);

/**
 * Runs the model on one piece of memory for each input, and writes one for each output, in the
 * order of rit_plan_input() and rit_plan_output().
 *
 * The time of each sequence follows from the length of its memory. If the model is causal, what is
 * given in one call goes on where the last call ended, with the same bits as in a single call, until
 * rit_reset(). Else every call is a whole sequence of up to max_time steps.
 *
 * Nothing is written unless the call succeeds. Inputs and outputs may not overlap.
 *
 * @param session  a session
 * @param inputs  as many as the plan has
 * @param input_count  how many that are
 * @param outputs  as many as the plan has
 * @param output_count  how many that are
 * @return #RIT_OK; #RIT_DATA if a length, a count or an index does not fit; #RIT_BUSY;
 *     #RIT_INVALID_ARGUMENT; #RIT_PANIC
 *
 * Real time: may be called. With one thread, a call that succeeds does not allocate, lock or wait.
 */
rit_status rit_run(rit_session *session,
                   const rit_input *inputs,
                   size_t input_count,
                   const rit_output *outputs,
                   size_t output_count);

/**
 * The same for rows of different lengths: of row r the first `lengths[r]` steps count, the others
 * are padding.
 *
 * Every row gets the bits that it has alone at its own length, whatever the padding holds; in
 * outputs that are sequences the padding is zero, unless a layer holds its outputs. The sequences of
 * #RIT_ANY_TIME have the same time.
 *
 * @param session  a session
 * @param inputs  as many as the plan has
 * @param input_count  how many that are
 * @param lengths  the steps of each row that count
 * @param length_count  how many these are: as many as the batch has rows
 * @param outputs  as many as the plan has
 * @param output_count  how many that are
 * @return as rit_run(); #RIT_DATA also if a length is greater than the time of the sequences
 *
 * Real time: may be called after rit_session_reserve_lengths(), without which the first such call of
 * a session allocates.
 */
rit_status rit_run_lengths(rit_session *session,
                           const rit_input *inputs,
                           size_t input_count,
                           const size_t *lengths,
                           size_t length_count,
                           const rit_output *outputs,
                           size_t output_count);

/**
 * Runs one step of a causal model of one input and one output: `[batch, features]` to the same.
 *
 * @param session  a session
 * @param x  the input
 * @param x_length  batch × features of the input
 * @param y  gets the output; it may not overlap `x`
 * @param y_length  batch × features of the output
 * @return #RIT_OK; #RIT_DATA if a length does not fit; #RIT_UNSUPPORTED if the model needs whole
 *     sequences, or has other inputs or outputs (give those to rit_run(), with one step each);
 *     #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
 *
 * Real time: may be called. With one thread, a call that succeeds does not allocate, lock or wait.
 */
rit_status rit_step(rit_session *session,
                    const float *x,
                    size_t x_length,
                    float *y,
                    size_t y_length);

/**
 * Forgets everything: all states are again as the model starts, zero or what it has learned.
 *
 * @param session  a session
 * @return #RIT_OK; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
 *
 * Real time: may be called. It does not allocate, lock or wait.
 */
rit_status rit_reset(rit_session *session);

/**
 * Forgets what one row of the batch has seen; the others go on.
 *
 * @param session  a session
 * @param row  which one, from 0
 * @return as rit_reset(); #RIT_DATA if there is no such row
 *
 * Real time: may be called. A call that succeeds does not allocate, lock or wait.
 */
rit_status rit_reset_row(rit_session *session, size_t row);

/**
 * How many arrays the states have, and how many floats these have together.
 *
 * @param session  a session
 * @param count  gets the number of arrays: one or two for each recurrent layer
 * @param length  gets the number of floats, which is never 0 unless count is
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT
 *
 * Real time: may be called.
 */
rit_status rit_state_size(const rit_session *session, size_t *count, size_t *length);

/**
 * What an array among the states is.
 *
 * @param session  a session
 * @param index  which one, from 0
 * @param info  gets what it is; its size says how much of that
 * @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such array
 *
 * Real time: may be called.
 */
rit_status rit_state_describe(const rit_session *session, size_t index, rit_state_info *info);

/**
 * Copies all states, array after array, as rit_state_describe() says.
 *
 * @param session  a session
 * @param state  gets the states
 * @param length  how many floats there is room for: exactly what rit_state_size() says
 * @return #RIT_OK; #RIT_DATA if the length does not fit; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
 *
 * Real time: may be called. A call that succeeds does not allocate, lock or wait.
 */
rit_status rit_state_get(rit_session *session,
                         float *state,
                         size_t length);

/**
 * Goes on from states that rit_state_get() gave, of this session or of another of the same plan and
 * batch, or that were trained.
 *
 * @param session  a session
 * @param state  the states
 * @param length  how many floats these are: exactly what rit_state_size() says
 * @return as rit_state_get()
 *
 * Real time: may be called. A call that succeeds does not allocate, lock or wait.
 */
rit_status rit_state_set(rit_session *session, const float *state, size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RITORNELLO_H */
