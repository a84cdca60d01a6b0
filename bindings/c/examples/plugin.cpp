// Plays a file of samples through a model as a host would: blocks of 64 samples at 48 kHz, states
// kept. Compares with what the network should give, and times every block.
//
//     plugin MODEL X.csv Y.csv

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "processor.hpp"

constexpr std::size_t BLOCK = 64;
constexpr double RATE = 48000.0;
// The loop is played again until so many blocks were timed.
constexpr std::size_t BLOCKS = 20000;

static std::vector<float> numbers(const char *path) {
    std::ifstream file(path);
    std::vector<float> numbers;
    for (std::string line; std::getline(file, line);) numbers.push_back(std::stof(line));
    if (numbers.empty()) throw std::runtime_error(std::string(path) + ": no numbers");
    return numbers;
}

static std::vector<char> bytes(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Plays all samples once; the times of the blocks, in microseconds, go to `times`.
static std::vector<float> play(Processor &effect, const std::vector<float> &x,
                               std::vector<double> &times) {
    std::vector<float> y(x.size());
    effect.reset();
    for (std::size_t at = 0; at < x.size(); at += BLOCK) {
        const std::size_t samples = std::min(BLOCK, x.size() - at);
        const auto start = std::chrono::steady_clock::now();
        if (!effect.process(&x[at], &y[at], samples)) throw std::runtime_error(rit_last_error());
        const std::chrono::duration<double, std::micro> time =
            std::chrono::steady_clock::now() - start;
        if (samples == BLOCK) times.push_back(time.count());
    }
    return y;
}

static int run(char **argv) {
    const std::vector<char> file = bytes(argv[1]);
    const std::vector<float> x = numbers(argv[2]), expected = numbers(argv[3]);
    Processor effect(file.data(), file.size(), BLOCK);
    std::vector<double> times;
    times.reserve(BLOCKS + x.size() / BLOCK);
    const std::vector<float> y = play(effect, x, times);

    // The line of docs/numerics.md: 5e-7 × max(1, max|y|), here for goldens with 6 decimals or more.
    if (expected.size() != x.size()) throw std::runtime_error("x and y have different lengths");
    double most = 0.0, largest = 1.0;
    for (std::size_t i = 0; i < y.size(); i++) {
        const double error = std::fabs(double{y[i]} - double{expected[i]});
        most = error <= most ? most : error; // NaN stays
        largest = std::max(largest, std::fabs(double{expected[i]}));
    }
    while (times.size() < BLOCKS) {
        if (play(effect, x, times) != y) throw std::runtime_error("played again, it differs");
    }
    std::sort(times.begin(), times.end());
    std::printf("%s: %zu samples, max|error| %.2e; a block of %zu takes %.2f us at best, %.2f us at "
                "the 99.9th percentile, and lasts %.0f us\n",
                argv[1], x.size(), most, BLOCK, times.front(), times[times.size() * 999 / 1000],
                1e6 * BLOCK / RATE);
    return most <= 5e-7 * largest ? 0 : 1;
}

int main(int argc, char **argv) {
    try {
        if (argc != 4) throw std::invalid_argument("usage: plugin MODEL X.csv Y.csv");
        const int code = run(argv);
        if (code != 0) std::fprintf(stderr, "plugin: the error is more than 5e-7 * max(1, max|y|)\n");
        return code;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "plugin: %s\n", problem.what());
        return 2;
    }
}
