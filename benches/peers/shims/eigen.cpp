// Cells whose sizes are compile-time constants, over Eigen, one row and one step at a time: the way
// audio plug-ins run small recurrent networks.
//
// For every gate the weights of input, state and bias stand side by side in one matrix, so that a
// step is one product with the vector (x, h, 1), and everything after it is Eigen's array functions.
// A GRU keeps its candidate's two halves apart.
#include "peer.h"

#include <Eigen/Dense>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Contestant {
    virtual ~Contestant() = default;
    virtual void run() = 0;
    std::vector<float> x, y, hidden, cell_state;
};

template <typename Array>
auto sigmoid(const Array &a) {
    return (1.0f + (-a).exp()).inverse();
}

// The rows [first, first+rows) of (W | U | b + b') as one matrix.
template <typename Matrix>
void fill(Matrix &m, const peer_case &p, int first, bool with_x, bool with_h, int row = 0) {
    const int all = p.cell * p.hidden_size;
    const float *w = p.weights, *u = w + all * p.input_size, *b = u + all * p.hidden_size;
    const int rows = with_x && with_h ? (p.cell == 3 ? 2 : p.cell) * p.hidden_size : p.hidden_size;
    for (int r = 0; r < rows; ++r) {
        int k = 0;
        const int from = first + r;
        if (with_x)
            for (int i = 0; i < p.input_size; ++i) m(row + r, k++) = w[from * p.input_size + i];
        if (with_h)
            for (int j = 0; j < p.hidden_size; ++j) m(row + r, k++) = u[from * p.hidden_size + j];
        m(row + r, k) = (with_x ? b[from] : 0.0f) + (with_h ? b[all + from] : 0.0f);
    }
}

template <int Cell, int I, int H>
struct Net final : Contestant {
    static constexpr int gates = Cell == 3 ? 2 : Cell;
    Eigen::Matrix<float, gates * H, I + H + 1> all;
    // A GRU's candidate: over (x, 1) and over (h, 1).
    Eigen::Matrix<float, Cell == 3 ? H : 1, I + 1> from_x;
    Eigen::Matrix<float, Cell == 3 ? H : 1, H + 1> from_h;
    Eigen::Matrix<float, I + H + 1, 1> xh1;
    Eigen::Matrix<float, gates * H, 1> sums;
    Eigen::Array<float, H, 1> c;
    int time;

    explicit Net(const peer_case &p) : time(p.time) {
        fill(all, p, 0, true, true);
        if constexpr (Cell == 3) {
            fill(from_x, p, 2 * H, true, false);
            fill(from_h, p, 2 * H, false, true);
        }
        x.assign(p.x, p.x + static_cast<std::size_t>(time) * I);
        hidden.assign(p.hidden, p.hidden + H);
        cell_state.assign(p.cell_state, p.cell_state + H);
        y.resize(static_cast<std::size_t>(time) * H);
    }

    void run() override {
        using Map = Eigen::Map<const Eigen::Matrix<float, H, 1>>;
        xh1.template segment<H>(I) = Map(hidden.data());
        xh1(I + H) = 1.0f;
        c = Map(cell_state.data()).array();
        for (int t = 0; t < time; ++t) {
            std::memcpy(xh1.data(), x.data() + static_cast<std::size_t>(t) * I, I * sizeof(float));
            step();
            std::memcpy(y.data() + static_cast<std::size_t>(t) * H, xh1.data() + I,
                        H * sizeof(float));
        }
    }

    void step() {
        auto h = xh1.template segment<H>(I).array();
        if constexpr (Cell == 3) {
            sums.noalias() = all * xh1;
            Eigen::Matrix<float, I + 1, 1> x1;
            x1 << xh1.template head<I>(), 1.0f;
            Eigen::Matrix<float, H, 1> nx, nh;
            nx.noalias() = from_x * x1;
            nh.noalias() = from_h * xh1.template tail<H + 1>();
            const Eigen::Array<float, 2 * H, 1> zr = sigmoid(sums.array());
            const auto z = zr.template head<H>();
            const auto r = zr.template tail<H>();
            const Eigen::Array<float, H, 1> n = (nx.array() + r * nh.array()).tanh();
            h = n + z * (h - n);
        } else {
            sums.noalias() = all * xh1;
            if constexpr (Cell == 1) {
                h = sums.array().tanh();
            } else {
                const Eigen::Array<float, 2 * H, 1> inf = sigmoid(sums.template head<2 * H>().array());
                const Eigen::Array<float, H, 1> g = sums.template segment<H>(2 * H).array().tanh();
                const Eigen::Array<float, H, 1> o = sigmoid(sums.template tail<H>().array());
                c = inf.template tail<H>() * c + inf.template head<H>() * g;
                h = o * c.tanh();
            }
        }
    }
};

template <int Cell, int I, int H>
bool make(const peer_case &p, Contestant *&made) {
    if (p.cell != Cell || p.input_size != I || p.hidden_size != H) return false;
    made = new Net<Cell, I, H>(p);
    return true;
}

}  // namespace

extern "C" {

const char *peer_version() {
    static const std::string version =
        std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
        std::to_string(EIGEN_MINOR_VERSION) + ", " + PEER_FLAGS;
    return version.c_str();
}

void *peer_new(const peer_case *p, char *why, std::size_t length) {
    Contestant *made = nullptr;
    if (p->batch != 1 || p->layers != 1 || p->directions != 1) {
        std::strncpy(why, "- one row, one layer, one direction only", length - 1);
        return nullptr;
    }
    (void)(make<4, 16, 32>(*p, made) || make<4, 1, 16>(*p, made) || make<4, 1, 40>(*p, made) ||
           make<4, 65, 37>(*p, made) || make<4, 64, 64>(*p, made) || make<4, 128, 128>(*p, made) ||
           make<4, 256, 256>(*p, made) || make<3, 24, 48>(*p, made) || make<3, 128, 128>(*p, made) ||
           make<1, 128, 128>(*p, made));
    if (!made) std::strncpy(why, "- sizes are compile-time constants, and not these", length - 1);
    return made;
}

int peer_run(void *contestant) {
    static_cast<Contestant *>(contestant)->run();
    return 0;
}

void peer_answer(void *contestant, float *out) {
    const auto &y = static_cast<Contestant *>(contestant)->y;
    std::memcpy(out, y.data(), y.size() * sizeof(float));
}

void peer_free(void *contestant) { delete static_cast<Contestant *>(contestant); }
}
