// Loads a model, says what it is, and runs it on a sine in two pieces.
//
//     run MODEL [STEPS]

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <ritornello.hpp>

static void run(const char *path, std::size_t time) {
    const ritornello::Plan plan(ritornello::Model(path), {1});
    std::cout << plan.info().explanation;
    ritornello::Session session(plan, 1, time);

    std::vector<float> x(session.input_length(0, time));
    for (std::size_t i = 0; i < x.size(); i++) x[i] = std::sin(0.1F * static_cast<float>(i));
    const std::vector<float> whole = session.run(x, time);

    ritornello::check(session.reset());
    const std::size_t half = time / 2, cut = x.size() / time * half;
    std::vector<float> pieces = session.run({x.begin(), x.begin() + static_cast<long>(cut)}, half);
    const std::vector<float> state = session.state();

    // Another session goes on where this one is.
    ritornello::Session other(plan, 1, time);
    other.set_state(state);
    const auto rest = other.run({x.begin() + static_cast<long>(cut), x.end()}, time - half);
    pieces.insert(pieces.end(), rest.begin(), rest.end());
    if (pieces != whole) throw std::runtime_error("two pieces differ from the whole");
    std::cout << time << " steps, last output " << whole.back() << ": in two pieces the same\n";
}

int main(int argc, char **argv) {
    try {
        const std::size_t time = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
        if (argc < 2 || time < 2) throw std::invalid_argument("usage: run MODEL [STEPS]");
        run(argv[1], time);
        return EXIT_SUCCESS;
    } catch (const std::exception &problem) {
        std::cerr << problem.what() << "\n";
        return EXIT_FAILURE;
    }
}
