// oneDNN's recurrent primitives, of versions 2 and 3: weights are brought into the order that the
// primitive asks for once, every step's input lies in memory from the start.
#include "peer.h"

#include <omp.h>

#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using dnnl::memory;
using tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

// Our gate order to oneDNN's: LSTM i f g o is the same; GRU z r n is its u r o.
struct Layer {
    dnnl::primitive primitive;
    Arguments arguments;
};

struct Contestant {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    int threads;
    memory x, y;
    std::vector<Layer> layers;

    explicit Contestant(const peer_case &p);
    void run();
    memory filled(const memory::desc &desc, const std::vector<float> &values);
};

memory::desc desc(memory::dims dims, tag format) {
    return memory::desc(std::move(dims), memory::data_type::f32, format);
}

memory Contestant::filled(const memory::desc &desc, const std::vector<float> &values) {
    memory made(desc, engine);
    std::memcpy(made.get_data_handle(), values.data(), values.size() * sizeof(float));
    return made;
}

#if DNNL_VERSION_MAJOR >= 3
#define PEER_PRIMITIVE(kind, ...) \
    dnnl::kind::primitive_desc(engine, dnnl::prop_kind::forward_inference, __VA_ARGS__)
#else
#define PEER_PRIMITIVE(kind, ...) \
    dnnl::kind::primitive_desc({dnnl::prop_kind::forward_inference, __VA_ARGS__}, engine)
#endif

Contestant::Contestant(const peer_case &p) : threads(p.threads) {
    omp_set_num_threads(threads);
    const memory::dim T = p.time, B = p.batch, H = p.hidden_size, D = p.directions, G = p.cell;
    const bool lstm = G == 4, gru = G == 3;
    const memory::dim biases = gru ? 4 : G;
    x = memory(desc({T, B, p.input_size}, tag::tnc), engine);
    std::memcpy(x.get_data_handle(), p.x, sizeof(float) * T * B * p.input_size);
    const auto direction = D == 2 ? dnnl::rnn_direction::bidirectional_concat
                                  : dnnl::rnn_direction::unidirectional_left2right;
    const float *w = p.weights;
    memory in = x;
    for (int l = 0; l < p.layers; ++l) {
        const memory::dim I = l == 0 ? p.input_size : D * H;
        // Rows by gate and unit become the last axes: ldigo.
        std::vector<float> wx(D * I * G * H), wh(D * H * G * H), b(D * biases * H);
        for (int d = 0; d < D; ++d) {
            const float *u = w + G * H * I, *bias = u + G * H * H, *bias_h = bias + G * H;
            for (memory::dim row = 0; row < G * H; ++row) {
                for (memory::dim k = 0; k < I; ++k) wx[(d * I + k) * G * H + row] = w[row * I + k];
                for (memory::dim k = 0; k < H; ++k) wh[(d * H + k) * G * H + row] = u[row * H + k];
                const bool candidate = gru && row >= 2 * H;
                b[d * biases * H + row] = bias[row] + (candidate ? 0.0f : bias_h[row]);
                if (candidate) b[d * biases * H + row + H] = bias_h[row];
            }
            w = bias_h + G * H;
        }
        const auto src = in.get_desc();
        const auto state = desc({1, D, B, H}, tag::ldnc);
        const auto weights_x = desc({1, D, I, G, H}, tag::any);
        const auto weights_h = desc({1, D, H, G, H}, tag::any);
        const auto bias = desc({1, D, biases, H}, tag::ldgo);
        const auto dst = desc({T, B, D * H}, tag::tnc);
        memory::desc packed_x, packed_h;
        dnnl::primitive made;
        const memory::desc none;
        if (lstm) {
            const auto pd = PEER_PRIMITIVE(lstm_forward, direction, src, state, state, weights_x,
                                           weights_h, bias, dst, none, none);
            packed_x = pd.weights_layer_desc(), packed_h = pd.weights_iter_desc();
            made = dnnl::lstm_forward(pd);
        } else if (gru) {
            const auto pd = PEER_PRIMITIVE(lbr_gru_forward, direction, src, state, weights_x,
                                           weights_h, bias, dst, none);
            packed_x = pd.weights_layer_desc(), packed_h = pd.weights_iter_desc();
            made = dnnl::lbr_gru_forward(pd);
        } else {
            const auto pd =
                PEER_PRIMITIVE(vanilla_rnn_forward, dnnl::algorithm::eltwise_tanh, direction, src,
                               state, weights_x, weights_h, bias, dst, none);
            packed_x = pd.weights_layer_desc(), packed_h = pd.weights_iter_desc();
            made = dnnl::vanilla_rnn_forward(pd);
        }
        auto packed = [&](const memory::desc &to, const memory::dims &dims,
                          const std::vector<float> &values) {
            memory plain = filled(desc(dims, tag::ldigo), values);
            memory result(to, engine);
            dnnl::reorder(plain, result).execute(stream, plain, result);
            stream.wait();
            return result;
        };
        std::vector<float> h, c;
        for (int d = 0; d < D; ++d) {
            h.insert(h.end(), p.hidden, p.hidden + B * H);
            c.insert(c.end(), p.cell_state, p.cell_state + B * H);
        }
        memory out(dst, engine);
        Arguments arguments{{DNNL_ARG_SRC_LAYER, in},
                            {DNNL_ARG_SRC_ITER, filled(state, h)},
                            {DNNL_ARG_WEIGHTS_LAYER, packed(packed_x, {1, D, I, G, H}, wx)},
                            {DNNL_ARG_WEIGHTS_ITER, packed(packed_h, {1, D, H, G, H}, wh)},
                            {DNNL_ARG_BIAS, filled(bias, b)},
                            {DNNL_ARG_DST_LAYER, out}};
        if (lstm) arguments.insert({DNNL_ARG_SRC_ITER_C, filled(state, c)});
        layers.push_back({made, arguments});
        in = out;
    }
    y = in;
}

void Contestant::run() {
    for (auto &layer : layers) layer.primitive.execute(stream, layer.arguments);
    stream.wait();
}

}  // namespace

extern "C" {

const char *peer_version() {
    const auto *v = dnnl::version();
    static const std::string version = std::to_string(v->major) + "." + std::to_string(v->minor) +
                                       "." + std::to_string(v->patch) + ", OpenMP";
    return version.c_str();
}

void *peer_new(const peer_case *p, char *why, std::size_t length) {
    try {
        return new Contestant(*p);
    } catch (const dnnl::error &error) {
        const bool unknown = error.status == dnnl_unimplemented;
        std::strncpy(why, ((unknown ? "- " : "") + std::string(error.what())).c_str(), length - 1);
        return nullptr;
    }
}

int peer_run(void *contestant) {
    try {
        static_cast<Contestant *>(contestant)->run();
        return 0;
    } catch (const dnnl::error &error) {
        return static_cast<int>(error.status) + 1;
    }
}

void peer_answer(void *contestant, float *out) {
    const auto &y = static_cast<Contestant *>(contestant)->y;
    std::memcpy(out, y.get_data_handle(), y.get_desc().get_size());
}

void peer_free(void *contestant) { delete static_cast<Contestant *>(contestant); }
}
