// A mono effect for an audio plugin: a network of one input and one output, sample by sample.

#ifndef PROCESSOR_HPP
#define PROCESSOR_HPP

#include <ritornello.hpp>

class Processor {
public:
    // On the message thread. `bytes` is a model file that the plugin embeds, `largest` the host's
    // largest block. Throws ritornello::Error if the file does not load.
    Processor(const void *bytes, std::size_t length, std::size_t largest)
        : plan_(ritornello::Model(bytes, length), {1}), session_(plan_, 1, largest) {
        const bool mono = plan_.info().inputs == 1 && plan_.info().outputs == 1 &&
                          plan_.input(0).features == 1 && plan_.output(0).features == 1;
        if (!mono || !plan_.info().causal) throw std::invalid_argument("no mono effect");
    }

    // On the audio thread: never allocates, locks or throws. `in` and `out` may not be one buffer.
    bool process(const float *in, float *out, std::size_t samples) noexcept {
        return session_.run(in, samples, out, samples) == RIT_OK;
    }

    // On the audio thread, when the transport jumps.
    void reset() noexcept { (void)session_.reset(); }

private:
    ritornello::Plan plan_;
    ritornello::Session session_;
};

#endif
