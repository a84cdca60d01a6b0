/* Counts what a program asks of the allocator and of locks while it is told to. */
#ifndef COUNTING_H
#define COUNTING_H

/* Begins to count on every thread. */
void counting_start(void);
/* Ends; the calls since the start. */
unsigned long counting_stop(void);

#endif
