//! One direction of a layer shared by units: every step, each thread does its own units and then gets
//! the others' new states.
//!
//! Each core reads its part of the weights alone, or keeps it in its own cache, which is what small batches gain by.
//! It goes by chunks of time:
//!
//! 1. Helpers own all they touch, so that nobody has to wait for one that the system has put aside:
//!    weights and a copy of the input by `Arc`, states and pre-activations in memory of their own.
//!    What threads tell each other goes over boards of atomic numbers.
//! 2. Before a chunk the leader, who is the caller's thread, looks which helpers are waiting. With
//!    none it does the chunk alone.
//! 3. If a helper keeps the others waiting, the leader does the chunk once more, and all that follows, alone or,
//!    of many rows, with whoever comes for some of them. The bits are the same.
//! 4. A helper's memory stays for the next call: one that had to ask for it would come too late.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use ritornello_kernels::team::{wait_until, wait_until_or};
use ritornello_kernels::{
    AlignedBuffer, Kernels, Meeting, PackedCell, RecurArgs, Share, StepOrder, View, ViewMut,
    state_stride,
};

use super::recurrent::Walk;
use super::scratch::{TaskScratch, chunk_steps, end_of_chunk};
use super::tuning::{FIRST_PATIENCE, MIN_ROWS_PER_TASK, SHARED_STEPS, STEP_PATIENCE, STEPS_ALONE};
use crate::parallel::Threads;

/// What all members share.
struct Crew {
    kernels: &'static Kernels,
    cell: Arc<PackedCell>,
    time: usize,
    batch: usize,
    input_size: usize,
    /// The number of the chunk that is shared now; the first is 1.
    chunk: AtomicU64,
    closed: AtomicBool,
    orders: Mutex<Arc<Orders>>,
    /// The leader's is the first.
    boards: Vec<Board>,
}

/// What there is to do in a chunk.
#[derive(Default)]
struct Orders {
    start: usize,
    end: usize,
    /// `[end - start, batch, input_size]`
    input: Vec<f32>,
    /// The boards of those who take part, the leader first.
    members: Vec<usize>,
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

/// What a helper works in. It means nothing between calls.
#[derive(Debug, Default)]
pub(crate) struct HelperMemory {
    hidden: AlignedBuffer,
    cell: AlignedBuffer,
    projection: AlignedBuffer,
    recurrence: AlignedBuffer,
}

/// Numbers of each part of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HelperSizes {
    hidden: usize,
    cell: usize,
    projection: usize,
    recurrence: usize,
}

/// Memory of a member for a chunk.
struct Room<'a> {
    /// Of pre-activations.
    projection: &'a mut [f32],
    /// Of the kernels.
    recurrence: &'a mut [f32],
}

/// What one member tells the others.
#[derive(Default)]
#[repr(align(128))]
struct Board {
    /// A helper is there and has nothing to do.
    waiting: AtomicBool,
    /// The chunk and step last told: `chunk << 32 | step`, steps from 1 on.
    told: AtomicU64,
    /// h of the member's units, `[batch, units]`, after even and odd steps.
    hidden: [Vec<AtomicU32>; 2],
    /// c after a chunk.
    cell: Vec<AtomicU32>,
}

/// Sends the helpers away in the end, also while a panic unwinds.
struct Closing<'a>(&'a Crew);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

/// The time loop of a direction with up to `helpers` others.
pub(crate) fn run(
    mut walk: Walk<'_>,
    threads: &Threads,
    helpers: usize,
    tasks: &mut [TaskScratch],
) {
    let crew = Arc::new(Crew::new(&walk, helpers));
    for (helper, task) in tasks.iter().enumerate().take(helpers + 1).skip(1) {
        let (crew, memory) = (Arc::clone(&crew), Arc::clone(&task.helper));
        threads.spawn(move || {
            // What a helper does is always done again by the leader, if need be.
            let _ = catch_unwind(AssertUnwindSafe(|| crew.help(helper, &memory)));
        });
    }
    let scratch = &mut tasks[0];
    let closing = Closing(&crew);
    let (mut expected, mut patience) = (helpers, FIRST_PATIENCE);
    let (mut start, mut all) = (0, true);
    while start < crew.time {
        let chunk = [start, end_of_chunk([start, crew.time], crew.chunk_steps())];
        // Made while helpers come, if some are expected.
        let input = |walk: &Walk<'_>| copy_of(walk.input.steps(chunk[0], chunk[1]));
        let ready = (expected > 0).then(|| input(&walk));
        let members = crew.members(expected, patience);
        all &= members.len() > helpers;
        if members.len() > 1 {
            let input = ready.unwrap_or_else(|| input(&walk));
            if !crew.lead(&mut walk, &members, (chunk, input), scratch) {
                // The cores are busy: the rest is quicker without meetings.
                threads.rest();
                break;
            }
            (expected, start) = (members.len() - 1, chunk[1]);
        } else {
            let end = crew.time.min(start + crew.chunk_steps().min(STEPS_ALONE));
            walk.steps([start, end], scratch);
            (expected, start) = (0, end);
        }
        patience = STEP_PATIENCE;
    }
    if all && start == crew.time {
        threads.kept_up();
    }
    drop(closing);
    if start < crew.time {
        let members = helpers + 1;
        let parts = if crew.batch / members < MIN_ROWS_PER_TASK { 1 } else { members };
        let mut walks = Vec::with_capacity(parts);
        walk.split(parts, &mut walks);
        let rest = [start, crew.time];
        threads.each(walks.into_iter().zip(tasks).collect(), |(mut walk, task)| {
            walk.steps(rest, task);
        });
    }
}

impl Crew {
    fn new(walk: &Walk<'_>, helpers: usize) -> Self {
        let input = walk.input;
        let (time, batch) = (input.time(), input.batch());
        let numbers = || (0..batch * walk.cell.hidden_size()).map(|_| AtomicU32::new(0)).collect();
        let board =
            |_| Board { hidden: [numbers(), numbers()], cell: numbers(), ..Board::default() };
        Self {
            kernels: walk.kernels,
            cell: Arc::clone(walk.cell),
            time,
            batch,
            input_size: input.features(),
            chunk: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            orders: Mutex::default(),
            boards: (0..=helpers).map(board).collect(),
        }
    }

    /// Does a chunk, with a copy of its input, with others; `false` if one of them did not keep up, and nothing has changed.
    fn lead(
        &self,
        walk: &mut Walk<'_>,
        members: &[usize],
        ([start, end], input): ([usize; 2], Vec<f32>),
        scratch: &mut TaskScratch,
    ) -> bool {
        let orders = Arc::new(Orders {
            start,
            end,
            input,
            members: members.to_vec(),
            hidden: walk.hidden.to_vec(),
            cell: walk.cell_state.to_vec(),
        });
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&orders);
        for &member in &members[1..] {
            self.boards[member].waiting.store(false, Ordering::Relaxed);
        }
        let chunk = self.chunk.load(Ordering::Relaxed) + 1;
        self.chunk.store(chunk, Ordering::Release);
        let output = walk.output.as_mut().map(|output| output.reborrow().steps(start, end));
        let member = Member::new(self, &orders, chunk, 0, output);
        let [hidden, cell] = [&mut *walk.hidden, &mut *walk.cell_state];
        let room =
            Room { projection: &mut scratch.projection, recurrence: &mut scratch.recurrence };
        let done = member.run([hidden, cell], walk.input.steps(start, end), room);
        if done {
            self.gather_cells(&orders, walk.cell_state);
        } else {
            walk.hidden.copy_from_slice(&orders.hidden);
            walk.cell_state.copy_from_slice(&orders.cell);
        }
        done
    }

    /// Steps of a chunk: no more than a session has memory for.
    fn chunk_steps(&self) -> usize {
        SHARED_STEPS.min(chunk_steps(self.batch, self.cell.projection_width()))
    }

    /// The leader and the helpers that are waiting; among them, unless they keep it waiting, as many
    /// as expected.
    fn members(&self, expected: usize, patience: Duration) -> Vec<usize> {
        let waiting = |&helper: &usize| self.boards[helper].waiting.load(Ordering::Acquire);
        let count = || (1..self.boards.len()).filter(waiting).count();
        let started = Instant::now();
        wait_until_or(|| started.elapsed() > patience, || count() >= expected);
        std::iter::once(0).chain((1..self.boards.len()).filter(waiting)).collect()
    }

    /// Takes part in every chunk that the leader shares with this helper.
    fn help(&self, helper: usize, kept: &Mutex<HelperMemory>) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        let batch = self.batch;
        // Whoever helped in an earlier call may not be through yet.
        let mut kept = match kept.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(kept.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let mut own = HelperMemory::default();
        let memory = kept.as_deref_mut().unwrap_or(&mut own);
        let sizes = HelperSizes::of(&self.cell, batch, self.chunk_steps().min(self.time) * batch);
        let HelperMemory { hidden, cell, projection, recurrence } = memory.with_room_for(sizes);
        let (hidden, cell) = (&mut hidden[..sizes.hidden], &mut cell[..sizes.cell]);
        let mut seen = 0;
        loop {
            self.boards[helper].waiting.store(true, Ordering::Release);
            wait_until(|| {
                self.closed.load(Ordering::Acquire) || self.chunk.load(Ordering::Acquire) != seen
            });
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            seen = self.chunk.load(Ordering::Acquire);
            let orders = Arc::clone(&self.orders.lock().unwrap_or_else(PoisonError::into_inner));
            let Some(place) = orders.members.iter().position(|&member| member == helper) else {
                continue;
            };
            hidden.copy_from_slice(&orders.hidden);
            cell.copy_from_slice(&orders.cell);
            let extent = [orders.end - orders.start, batch, self.input_size];
            let input = View::time_major(&orders.input, extent);
            let member = Member::new(self, &orders, seen, place, None);
            member.run([&mut *hidden, &mut *cell], input, Room { projection, recurrence });
        }
    }

    /// The units of a member.
    fn units(&self, orders: &Orders, place: usize) -> std::ops::Range<usize> {
        self.cell.units(self.panels(orders, place))
    }

    fn panels(&self, orders: &Orders, place: usize) -> std::ops::Range<usize> {
        let (panels, members) = (self.cell.panels(), orders.members.len());
        panels * place / members..panels * (place + 1) / members
    }

    /// Takes the helpers' cell states after a chunk.
    fn gather_cells(&self, orders: &Orders, cell: &mut [f32]) {
        if cell.is_empty() {
            return;
        }
        for (place, &member) in orders.members.iter().enumerate().skip(1) {
            let units = self.units(orders, place);
            read(&self.boards[member].cell, cell, self.stride(), units);
        }
    }

    fn stride(&self) -> usize {
        state_stride(self.cell.hidden_size())
    }
}

impl HelperSizes {
    /// For chunks of so many rows of pre-activations.
    pub(crate) fn of(cell: &PackedCell, batch: usize, rows: usize) -> Self {
        let states = batch * state_stride(cell.hidden_size());
        Self {
            hidden: states,
            cell: if cell.kind().has_cell_state() { states } else { 0 },
            projection: rows * cell.projection_width(),
            recurrence: cell.scratch_len(batch).max(cell.projection_scratch_len(rows)),
        }
    }

    /// The greater number of each part.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            hidden: self.hidden.max(other.hidden),
            cell: self.cell.max(other.cell),
            projection: self.projection.max(other.projection),
            recurrence: self.recurrence.max(other.recurrence),
        }
    }

    /// All together; `None` if they overflow.
    pub(crate) fn numbers(self) -> Option<usize> {
        let parts = [self.hidden, self.cell, self.projection, self.recurrence];
        parts.into_iter().try_fold(0_usize, usize::checked_add)
    }
}

impl HelperMemory {
    /// With so many numbers.
    pub(crate) fn new(sizes: HelperSizes) -> Self {
        let mut memory = Self::default();
        memory.with_room_for(sizes);
        memory
    }

    /// The same with at least so many.
    fn with_room_for(&mut self, sizes: HelperSizes) -> &mut Self {
        let parts = [
            (&mut self.hidden, sizes.hidden),
            (&mut self.cell, sizes.cell),
            (&mut self.projection, sizes.projection),
            (&mut self.recurrence, sizes.recurrence),
        ];
        for (part, len) in parts {
            if part.len() < len {
                *part = AlignedBuffer::zeroed(len);
            }
        }
        self
    }
}

/// One member in one chunk.
struct Member<'a> {
    crew: &'a Crew,
    orders: &'a Orders,
    chunk: u64,
    /// Among the members.
    place: usize,
    step: usize,
    output: Option<ViewMut<'a>>,
    /// When this member's own part of the step began; of the first one with its projection.
    started: Instant,
}

impl<'a> Member<'a> {
    fn new(
        crew: &'a Crew,
        orders: &'a Orders,
        chunk: u64,
        place: usize,
        output: Option<ViewMut<'a>>,
    ) -> Self {
        Self { crew, orders, chunk, place, step: 0, output, started: Instant::now() }
    }

    /// Does this member's part of the chunk; whether all others did theirs.
    fn run(
        mut self,
        [hidden, cell]: [&mut [f32]; 2],
        input: View<'_>,
        Room { projection, recurrence }: Room<'_>,
    ) -> bool {
        let crew = self.crew;
        let (time, batch, width) = (input.time(), crew.batch, crew.cell.projection_width());
        let panels = crew.panels(self.orders, self.place);
        let projection = &mut projection[..time * batch * width];
        let rows = ViewMut::time_major(projection, [time, batch, width]);
        crew.kernels.project_panels(&crew.cell, panels.clone(), input, rows, recurrence);
        crew.kernels.recur(
            &crew.cell,
            &mut RecurArgs {
                time,
                batch,
                projection,
                order: StepOrder::Rows,
                hidden,
                cell,
                scratch: &mut recurrence[..crew.cell.scratch_len(batch)],
                output: None,
                share: Some(Share { panels, meeting: &mut self }),
            },
        );
        self.step == time
    }

    /// Whether the leader has gone on without this member.
    fn is_late(&self) -> bool {
        self.crew.chunk.load(Ordering::Relaxed) != self.chunk
            || self.crew.closed.load(Ordering::Relaxed)
    }
}

impl Meeting for Member<'_> {
    fn exchange(&mut self, hidden: &mut [f32], cell: &[f32]) -> bool {
        let (crew, orders, stride) = (self.crew, self.orders, self.crew.stride());
        self.step += 1;
        let own = &crew.boards[orders.members[self.place]];
        let units = crew.units(orders, self.place);
        write(&own.hidden[self.step % 2], hidden, stride, units.clone());
        if self.place > 0 && self.step == orders.end - orders.start && !cell.is_empty() {
            write(&own.cell, cell, stride, units);
        }
        let now = self.chunk << 32 | self.step as u64;
        own.told.store(now, Ordering::Release);
        for (place, &member) in orders.members.iter().enumerate() {
            if place == self.place {
                continue;
            }
            let board = &crew.boards[member];
            // The clock is only read when there is time for it.
            let mut waiting = None;
            let there = || board.told.load(Ordering::Acquire) >= now;
            let told = if self.place == 0 {
                let enough = || {
                    let since = *waiting.get_or_insert_with(Instant::now);
                    since.elapsed() > STEP_PATIENCE.max(3 * (since - self.started))
                };
                wait_until_or(enough, there)
            } else {
                // A helper has time: the leader goes on without it if it must.
                wait_until(|| there() || self.is_late());
                there()
            };
            if !told {
                // What it was is not done.
                self.step = usize::MAX;
                return false;
            }
            read(&board.hidden[self.step % 2], hidden, stride, crew.units(orders, place));
        }
        if let Some(output) = &mut self.output {
            for (row, state) in hidden.chunks(stride).enumerate() {
                output
                    .row_mut(self.step - 1, row)
                    .copy_from_slice(&state[..crew.cell.hidden_size()]);
            }
        }
        self.started = Instant::now();
        true
    }
}

/// All numbers of an input, for those who cannot wait for its owner.
fn copy_of(input: View<'_>) -> Vec<f32> {
    let (time, batch) = (input.time(), input.batch());
    let mut copy = Vec::with_capacity(time * batch * input.features());
    for t in 0..time {
        for row in 0..batch {
            copy.extend_from_slice(input.row(t, row));
        }
    }
    copy
}

/// Puts some units of states `[batch, stride]` on a board.
fn write(board: &[AtomicU32], states: &[f32], stride: usize, units: std::ops::Range<usize>) {
    for (row, board) in states.chunks(stride).zip(board.chunks(units.len().max(1))) {
        for (number, place) in row[units.clone()].iter().zip(board) {
            place.store(number.to_bits(), Ordering::Relaxed);
        }
    }
}

/// Takes them from there.
fn read(board: &[AtomicU32], states: &mut [f32], stride: usize, units: std::ops::Range<usize>) {
    for (row, board) in states.chunks_mut(stride).zip(board.chunks(units.len().max(1))) {
        for (number, place) in row[units.clone()].iter_mut().zip(board) {
            *number = f32::from_bits(place.load(Ordering::Relaxed));
        }
    }
}
