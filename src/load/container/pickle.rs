//! Pickles: a machine that builds plain data and can execute nothing.
//!
//! A pickle is a program for a stack machine. Python's own machine imports and calls whatever the
//! program names; this one knows a list of opcodes that make numbers, texts, tuples, lists and
//! dicts, and hands every imported name and every call of one to a [`Maker`], which knows a list of
//! names and refuses the rest.
//!
//! All objects lie in one [`Heap`] and refer to each other by place, so that neither depth nor
//! cycles nor objects used many times cost anything: a program of n bytes makes at most n objects.

use std::collections::HashMap;

use crate::Error;

/// The place of an object in a [`Heap`].
pub(super) type Id = usize;

/// What a program can build. `T` is what a [`Maker`] makes.
#[derive(Debug)]
pub(super) enum Object<T> {
    None,
    Bool(bool),
    Int(i64),
    /// One that needs more, up to 16 bytes.
    Long(Box<i128>),
    Float,
    Text(String),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values, in the order in which they were set.
    Dict(Vec<(Id, Id)>),
    /// A name that the program imports: `module.name`.
    Global(String),
    Made(Box<T>),
}

/// Every object of a program.
pub(super) struct Heap<T> {
    objects: Vec<Object<T>>,
}

/// What imported names mean.
pub(super) trait Maker {
    /// What it makes.
    type Made;

    /// Fails unless the program may import `name`.
    fn import(&mut self, name: &str) -> Result<(), Error>;

    /// The object that a call of an imported name gives.
    fn call(&mut self, name: &str, args: &[Id], heap: &Heap<Self::Made>) -> Made<Self::Made>;

    /// The object that stands outside the pickle under an identity.
    fn outside(&mut self, identity: Id, heap: &Heap<Self::Made>) -> Made<Self::Made>;
}

/// An object, or why there is none.
pub(super) type Made<T> = Result<Object<T>, Error>;

impl<T> Heap<T> {
    /// The object at a place that this heap gave.
    pub(super) fn get(&self, id: Id) -> &Object<T> {
        &self.objects[id]
    }

    /// The text at a place, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The count at a place, if it is one.
    pub(super) fn count(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Int(count) => usize::try_from(*count).ok(),
            _ => None,
        }
    }

    /// The counts of the tuple or list at a place, if it is one of counts.
    pub(super) fn counts(&self, id: Id) -> Option<Vec<usize>> {
        match self.get(id) {
            Object::Tuple(items) | Object::List(items) => {
                items.iter().map(|&item| self.count(item)).collect()
            }
            _ => None,
        }
    }

    fn add(&mut self, object: Object<T>) -> Id {
        self.objects.push(object);
        self.objects.len() - 1
    }
}

/// Runs the program at the start of `bytes`: the object it leaves, all others, and its length.
pub(super) fn run<M: Maker>(
    bytes: &[u8],
    maker: &mut M,
) -> Result<(Id, Heap<M::Made>, usize), Error> {
    let mut machine = Machine {
        bytes,
        at: 0,
        maker,
        heap: Heap { objects: Vec::new() },
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok((root, machine.heap, machine.at));
        }
        machine.step(opcode)?;
    }
}

struct Machine<'a, M: Maker> {
    bytes: &'a [u8],
    /// The next byte.
    at: usize,
    maker: &'a mut M,
    heap: Heap<M::Made>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

fn broken(at: usize, problem: impl std::fmt::Display) -> Error {
    Error::Format { container: "pickle".into(), problem: format!("at byte {at}: {problem}") }
}

impl<M: Maker> Machine<'_, M> {
    fn step(&mut self, opcode: u8) -> Result<(), Error> {
        match opcode {
            // Protocol, frame: how it was written.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.since_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | 0x8b => self.integer(opcode),
            b'G' => {
                self.take(8)?;
                self.push(Object::Float)
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(opcode),
            b'C' | b'B' | 0x8e => self.blob(opcode),
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85..=0x87 => self.small_tuple(usize::from(opcode - 0x84)),
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::Tuple(items))
            }
            b']' => self.push(Object::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(&items)
            }
            b'}' => self.push(Object::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)
            }
            b'q' | b'r' | 0x94 => self.memoize(opcode),
            b'h' | b'j' => self.recall(opcode),
            b'c' | 0x93 => self.import(opcode),
            b'R' => self.call(),
            b'b' => self.build(),
            b'Q' => {
                let identity = self.pop()?;
                let object = self.maker.outside(identity, &self.heap)?;
                self.push(object)
            }
            _ => Err(self.not_known(opcode)),
        }
    }

    fn not_known(&self, opcode: u8) -> Error {
        Error::Unsupported {
            what: format!("the pickle opcode {opcode:#04x} at byte {}", self.at - 1),
            advice: super::torch::SAVE.into(),
        }
    }

    fn broken(&self, problem: impl std::fmt::Display) -> Error {
        broken(self.at, problem)
    }

    /// The next bytes of the program.
    fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            broken(self.at, format!("it needs {count} bytes more, and has {}", rest.len()))
        })?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of `width` bytes, at most 8.
    fn number(&mut self, width: usize) -> Result<u64, Error> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A length of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, Error> {
        let length = self.number(width)?;
        usize::try_from(length).map_err(|_| self.broken(format!("a length of {length}")))
    }

    fn line(&mut self) -> Result<String, Error> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| self.broken("a line has no end"))?;
        let line = self.take(end)?.to_vec();
        self.take(1)?;
        String::from_utf8(line).map_err(|_| self.broken("a name is not UTF-8"))
    }

    #[allow(clippy::unnecessary_wraps, reason = "it stands where steps do")]
    fn push(&mut self, object: Object<M::Made>) -> Result<(), Error> {
        let id = self.heap.add(object);
        self.stack.push(id);
        Ok(())
    }

    /// What lies above the last mark.
    fn reach(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, Error> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Id, Error> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.reach() => Ok(top),
            _ => Err(self.broken("the stack is empty")),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Error> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err(self.broken("there is no mark")),
        }
    }

    fn integer(&mut self, opcode: u8) -> Result<(), Error> {
        let value = match opcode {
            b'K' => i128::from(self.number(1)?),
            b'M' => i128::from(self.number(2)?),
            b'J' => {
                let bytes = self.take(4)?;
                i128::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            _ => {
                let width = self.length(if opcode == 0x8a { 1 } else { 4 })?;
                if width > 16 {
                    return Err(self.broken(format!("an integer of {width} bytes")));
                }
                let bytes = self.take(width)?;
                let negative = bytes.last().is_some_and(|&top| top >= 0x80);
                let start = if negative { -1 } else { 0 };
                bytes.iter().rev().fold(start, |n: i128, &byte| n << 8 | i128::from(byte))
            }
        };
        self.push(match i64::try_from(value) {
            Ok(value) => Object::Int(value),
            Err(_) => Object::Long(Box::new(value)),
        })
    }

    fn text(&mut self, opcode: u8) -> Result<(), Error> {
        let length = self.length(match opcode {
            0x8c | b'U' => 1,
            0x8d => 8,
            _ => 4,
        })?;
        let text = self.take(length)?.to_vec();
        let text = String::from_utf8(text).map_err(|_| self.broken("a text is not UTF-8"))?;
        self.push(Object::Text(text))
    }

    fn blob(&mut self, opcode: u8) -> Result<(), Error> {
        let length = self.length(match opcode {
            b'C' => 1,
            b'B' => 4,
            _ => 8,
        })?;
        self.take(length)?;
        self.push(Object::Bytes)
    }

    fn small_tuple(&mut self, count: usize) -> Result<(), Error> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Object::Tuple(items))
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Error> {
        let list = self.top()?;
        match &mut self.heap.objects[list] {
            Object::List(list) => list.extend_from_slice(items),
            _ => return Err(self.broken("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Error> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.heap.objects[dict] {
            Object::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => return Err(self.broken("it sets items of what is no dict")),
        }
        Ok(())
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), Error> {
        let place = match opcode {
            b'q' => self.length(1)?,
            b'r' => self.length(4)?,
            _ => self.memo.len(),
        };
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Result<(), Error> {
        let place = self.length(if opcode == b'h' { 1 } else { 4 })?;
        let Some(&id) = self.memo.get(&place) else {
            return Err(self.broken(format!("nothing was remembered as number {place}")));
        };
        self.stack.push(id);
        Ok(())
    }

    fn import(&mut self, opcode: u8) -> Result<(), Error> {
        let name = if opcode == b'c' {
            let module = self.line()?;
            format!("{module}.{}", self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.heap.text(module), self.heap.text(name)) {
                (Some(module), Some(name)) => format!("{module}.{name}"),
                _ => return Err(self.broken("it imports what is no name")),
            }
        };
        self.maker.import(&name)?;
        self.push(Object::Global(name))
    }

    fn call(&mut self) -> Result<(), Error> {
        let (args, function) = (self.pop()?, self.pop()?);
        let (Object::Global(name), Object::Tuple(args)) =
            (self.heap.get(function), self.heap.get(args))
        else {
            return Err(self.broken("it calls what is no imported name"));
        };
        let object = self.maker.call(name, args, &self.heap)?;
        self.push(object)
    }

    /// Attributes of a dict: a state dict has `_metadata`, the versions of its modules.
    fn build(&mut self) -> Result<(), Error> {
        let state = self.pop()?;
        let object = self.top()?;
        let keys = match (self.heap.get(object), self.heap.get(state)) {
            (Object::Dict(_), Object::Dict(state)) => {
                state.iter().map(|&(key, _)| self.heap.text(key)).collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        match keys {
            Some(keys) if keys.iter().all(|key| *key == "_metadata") => Ok(()),
            Some(keys) => Err(self.broken(format!(
                "it gives a dict the attributes {}; only '_metadata' is known",
                keys.join(", ")
            ))),
            None => Err(self.broken("it gives attributes to what is no dict")),
        }
    }
}
