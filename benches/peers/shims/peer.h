// What a contestant in C++ offers: the other side of src/rivals/foreign.rs.
#pragma once
#include <cstddef>

#pragma GCC visibility push(default)
extern "C" {

// All arrays are row-major and belong to the caller, who may free them after peer_new.
struct peer_case {
    int cell;  // the number of gates: 1 Elman with tanh, 3 GRU (z r n, reset after), 4 LSTM (i f g o)
    int layers, directions, input_size, hidden_size, batch, time, threads;
    // For each layer, for each direction: input weights [gates*hidden, width],
    // recurrent weights [gates*hidden, hidden], bias [gates*hidden], recurrent bias [gates*hidden];
    // width is input_size, then directions*hidden_size.
    const float *weights;
    const float *x;       // [time, batch, input_size]
    const float *hidden;  // [batch, hidden_size], the initial state of every layer and direction
    const float *cell_state;
};

const char *peer_version();
// Null if the row cannot be run; `why` then says why, beginning with "- " if it is not offered.
void *peer_new(const peer_case *, char *why, size_t length);
// One run from the initial state; 0 if it went well.
int peer_run(void *);
// What the last run gave: [time, batch, directions*hidden_size].
void peer_answer(void *, float *);
void peer_free(void *);
}
#pragma GCC visibility pop
