/**
 * @file ritornello.hpp
 * ritornello.h for C++17: handles that free themselves, failures that are exceptions where nobody
 * is in a hurry, and statuses where somebody is.
 *
 *     ritornello::Model model("amp.safetensors");
 *     ritornello::Plan plan(model, {1});           // one thread: calls never allocate or lock
 *     ritornello::Session session(plan, 1, 64);    // one row, blocks of 64 steps
 *     rit_status status = session.run(x, 64, y, 64);
 *
 * Only run(), step() and reset() are for real-time threads. What ritornello.h asks of a caller, this
 * asks too.
 */

#ifndef RITORNELLO_HPP
#define RITORNELLO_HPP

#include <ritornello.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ritornello {

/** A call that did not succeed. what() is the message of rit_last_error(). */
class Error : public std::runtime_error {
public:
    explicit Error(rit_status status) : std::runtime_error(rit_last_error()), status_(status) {}

    /** Which kind of thing went wrong. */
    rit_status status() const noexcept { return status_; }

private:
    rit_status status_;
};

/** Throws an Error unless a call succeeded. */
inline void check(rit_status status) {
    if (status != RIT_OK) throw Error(status);
}

namespace detail {
struct Free {
    void operator()(rit_model *model) const noexcept { rit_model_free(model); }
    void operator()(rit_plan *plan) const noexcept { rit_plan_free(plan); }
    void operator()(rit_session *session) const noexcept { rit_session_free(session); }
};
} // namespace detail

/** What is computed. It may go as soon as a plan was made of it. */
class Model {
public:
    /** Reads a file. */
    explicit Model(const std::string &path) {
        rit_model *model = nullptr;
        check(rit_model_load(path.c_str(), &model));
        handle_.reset(model);
    }

    /** Reads a file of weights only, with the text of its spec. */
    Model(const std::string &path, const std::string &spec) {
        rit_model *model = nullptr;
        check(rit_model_load_with_spec(path.c_str(), spec.c_str(), &model));
        handle_.reset(model);
    }

    /** Reads a file that is in memory, such as one that a plugin embeds. */
    Model(const void *bytes, std::size_t length) {
        rit_model *model = nullptr;
        check(rit_model_load_memory(bytes, length, &model));
        handle_.reset(model);
    }

    /** The number of weights and biases. */
    std::size_t parameters() const {
        std::size_t count = 0;
        check(rit_model_parameters(get(), &count));
        return count;
    }

    /** The handle, which stays with this. */
    const rit_model *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<rit_model, detail::Free> handle_;
};

/** How a model is to be run. What is 0 or empty has its default. */
struct Options {
    std::size_t threads = 0;
    std::string isa = {};
    std::string precision = {};
    std::string tune = {};
};

/** A model, ready for this machine. Threads may share one. */
class Plan {
public:
    explicit Plan(const Model &model, const Options &options = {}) {
        rit_plan_options given = RIT_PLAN_OPTIONS_INIT;
        given.threads = options.threads;
        given.isa = options.isa.empty() ? nullptr : options.isa.c_str();
        given.precision = options.precision.empty() ? nullptr : options.precision.c_str();
        given.tune = options.tune.empty() ? nullptr : options.tune.c_str();
        rit_plan *plan = nullptr;
        check(rit_plan_new(model.get(), &given, &plan));
        handle_.reset(plan);
    }

    /** What it is; the texts live as long as this. */
    rit_plan_info info() const {
        rit_plan_info info = RIT_PLAN_INFO_INIT;
        check(rit_plan_describe(get(), &info));
        return info;
    }

    /** What an input is; the texts live as long as this. */
    rit_value_info input(std::size_t index) const {
        rit_value_info info = RIT_VALUE_INFO_INIT;
        check(rit_plan_input(get(), index, &info));
        return info;
    }

    /** What an output is; the texts live as long as this. */
    rit_value_info output(std::size_t index) const {
        rit_value_info info = RIT_VALUE_INFO_INIT;
        check(rit_plan_output(get(), index, &info));
        return info;
    }

    /** The bytes that a session takes. */
    std::size_t workspace_bytes(std::size_t batch, std::size_t max_time) const {
        std::size_t bytes = 0;
        check(rit_plan_workspace_bytes(get(), batch, max_time, &bytes));
        return bytes;
    }

    /** The handle, which stays with this. */
    const rit_plan *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<rit_plan, detail::Free> handle_;
};

/** One stream. One thread at a time. */
class Session {
public:
    Session(const Plan &plan, std::size_t batch, std::size_t max_time) {
        rit_session *session = nullptr;
        check(rit_session_new(plan.get(), batch, max_time, &session));
        handle_.reset(session);
    }

    /** Runs a model of one input and one output. Real time. */
    [[nodiscard]] rit_status run(const float *x, std::size_t x_length, float *y,
                                 std::size_t y_length) noexcept {
        const rit_input input = {x, x_length};
        const rit_output output = {y, y_length};
        return rit_run(get(), &input, 1, &output, 1);
    }

    /** Runs a model of any inputs and outputs. Real time. */
    [[nodiscard]] rit_status run(const rit_input *inputs, std::size_t input_count,
                                 const rit_output *outputs, std::size_t output_count) noexcept {
        return rit_run(get(), inputs, input_count, outputs, output_count);
    }

    /** Runs one step. Real time. */
    [[nodiscard]] rit_status step(const float *x, std::size_t x_length, float *y,
                                  std::size_t y_length) noexcept {
        return rit_step(get(), x, x_length, y, y_length);
    }

    /** Forgets everything. Real time. */
    [[nodiscard]] rit_status reset() noexcept { return rit_reset(get()); }

    /** Forgets what one row of the batch has seen. Real time. */
    [[nodiscard]] rit_status reset_row(std::size_t row) noexcept {
        return rit_reset_row(get(), row);
    }

    /** How many floats output `index` has in a call of `time` steps. */
    std::size_t output_length(std::size_t index, std::size_t time) const {
        std::size_t length = 0;
        check(rit_session_output_length(get(), index, time, &length));
        return length;
    }

    /** How many numbers input `index` has in a call of `time` steps. */
    std::size_t input_length(std::size_t index, std::size_t time) const {
        std::size_t length = 0;
        check(rit_session_input_length(get(), index, time, &length));
        return length;
    }

    /** Runs a model of one input and one output, and makes the memory for what it gives. */
    std::vector<float> run(const std::vector<float> &x, std::size_t time) {
        std::vector<float> y(output_length(0, time));
        check(run(x.data(), x.size(), y.data(), y.size()));
        return y;
    }

    /** All states, one behind the other. */
    std::vector<float> state() {
        std::size_t count = 0, length = 0;
        check(rit_state_size(get(), &count, &length));
        std::vector<float> state(length);
        check(rit_state_get(get(), state.data(), state.size()));
        return state;
    }

    /** Goes on from states that state() gave. */
    void set_state(const std::vector<float> &state) {
        check(rit_state_set(get(), state.data(), state.size()));
    }

    /** The handle, which stays with this. */
    rit_session *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<rit_session, detail::Free> handle_;
};

} // namespace ritornello

#endif
