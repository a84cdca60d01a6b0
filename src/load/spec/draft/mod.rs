//! A first draft of a specification, from names and shapes of tensors alone.
//!
//! Names tell which tensors are of one layer, and of which framework. Shapes tell what layer it is:
//! the recurrent matrix of G gates has G times as many rows (PyTorch) or columns (Keras) as it has
//! units, 1 in an Elman RNN, 3 in a GRU and 4 in an LSTM. Sizes that fit tell the order of layers, if
//! only one does. What neither tells has its default in the draft, and a note.

mod group;
mod order;

use serde_json::{Value, json};

use super::Spec;
use crate::Error;
use crate::load::tensors::Tensors;
use group::{Group, Layer};

/// A specification that may need corrections, and what to look at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Draft {
    /// What the tensors seem to be.
    pub spec: Spec,
    /// What they do not tell, each with what the draft says.
    pub notes: Vec<Note>,
}

/// Something that names and shapes do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// How sure the draft is.
    pub kind: NoteKind,
    /// What it is about, what the draft says, and what else it could be.
    pub text: String,
}

/// How sure a draft is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The draft has the framework's default.
    Default,
    /// The draft has one of several that fit.
    Guess,
    /// Tensors that are in no node: the file does not load until they are.
    Left,
}

/// Notes in the making.
#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, kind: NoteKind, text: String) {
        self.0.push(Note { kind, text });
    }

    fn usual(&mut self, text: String) {
        self.add(NoteKind::Default, text);
    }

    fn guess(&mut self, text: String) {
        self.add(NoteKind::Guess, text);
    }
}

/// Drafts a specification.
pub(in crate::load) fn draft(tensors: &Tensors) -> Result<Draft, Error> {
    let mut notes = Notes::default();
    let (groups, left) = group::groups(tensors);
    if groups.is_empty() {
        return Err(Error::Unsupported {
            what: format!("a draft for tensors without a layer that is known: {}", listed(&left)),
            advice: "names and shapes of PyTorch (weight_ih_l0, weight, bias) or Keras (kernel, \
                     recurrent_kernel, bias) tell the layers; write the spec by hand"
                .into(),
        });
    }
    let sizes: Vec<_> = groups.iter().map(Group::sizes).collect();
    let found = order::order(&sizes, tensors.are_ordered());
    let groups: Vec<Group> = sorted(groups, &found.places);
    match found.fits {
        order::Fits::One => {}
        order::Fits::Written => notes.usual(format!(
            "nodes are in the order of the file, {}; their sizes allow others",
            names(&groups).join(", ")
        )),
        order::Fits::Several => notes.guess(format!(
            "order of nodes: sizes allow others than {}",
            names(&groups).join(", ")
        )),
        order::Fits::None => notes.guess(
            "no order in which each node's result is the input of the next fits all sizes: nodes \
             read the last one before them that fits, or inputs of their own"
                .into(),
        ),
    }
    let text = Writer::new(&groups).write(&mut notes);
    if !left.is_empty() {
        let text = format!(
            "in no node: {}; the file does not load until each is in one (an initial state or a gain \
             is a node of the op constant) or is out of the file",
            listed(&left)
        );
        notes.add(NoteKind::Left, text);
    }
    Ok(Draft { spec: Spec::from_json(&text)?, notes: notes.0 })
}

fn sorted(groups: Vec<Group>, places: &[usize]) -> Vec<Group> {
    let mut groups: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    places.iter().filter_map(|&place| groups[place].take()).collect()
}

/// A name for each node: that of its tensors, or what it is.
fn names(groups: &[Group]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for group in groups {
        let stem = group.prefix.trim_end_matches(['.', '/']);
        let stem = if stem.is_empty() { group.layer.op() } else { stem };
        let mut name = stem.to_owned();
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

/// The first names of a list.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    match names.len() {
        0 => "none".into(),
        1..=SHOWN => names.join(", "),
        more => format!("{}, and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}

/// Writes the nodes in their order.
struct Writer<'a> {
    groups: &'a [Group],
    names: Vec<String>,
    inputs: Vec<Value>,
    nodes: Vec<Value>,
    /// Name and features of the values that nothing has read.
    unread: Vec<(String, usize)>,
}

impl<'a> Writer<'a> {
    fn new(groups: &'a [Group]) -> Self {
        let names = names(groups);
        Self { groups, names, inputs: Vec::new(), nodes: Vec::new(), unread: Vec::new() }
    }

    fn write(mut self, notes: &mut Notes) -> String {
        for (index, group) in self.groups.iter().enumerate() {
            let name = self.names[index].clone();
            let (features, output) = group.sizes();
            let source = match features {
                None => self.input(&json!(["batch", "time"]), true),
                Some(features) => match self.found(features) {
                    Some(source) => source,
                    None => self.input(&json!(["batch", "time", features]), false),
                },
            };
            self.nodes.push(group.node(&name, &source, notes));
            if let Some((before, Layer::Recurrent(_))) = self.before(&source)
                && !matches!(group.layer, Layer::Recurrent(_))
            {
                notes.usual(format!(
                    "node '{name}' reads every step of '{before}': write \"{before}.last\" if it \
                     reads the last step alone"
                ));
            }
            self.unread.push((name, output));
        }
        let torch = self.groups.iter().any(|group| group.is_pytorch());
        if torch {
            notes.usual(
                "the axes of inputs are [batch, time, features], as with batch_first=True; without \
                 it write [\"time\", \"batch\", features]"
                    .into(),
            );
        }
        let outputs: Vec<&String> = self.unread.iter().map(|(name, _)| name).collect();
        let lines = |items: &[Value]| {
            let items: Vec<String> = items.iter().map(|item| format!("\n    {item}")).collect();
            format!("[{}\n  ]", items.join(","))
        };
        format!(
            "{{\n  \"ritornello\": 1,\n  \"inputs\": {},\n  \"nodes\": {},\n  \"outputs\": {}\n}}\n",
            lines(&self.inputs),
            lines(&self.nodes),
            json!(outputs)
        )
    }

    /// The youngest value that has so many features and is read by nobody yet.
    fn found(&mut self, features: usize) -> Option<String> {
        let place = self.unread.iter().rposition(|(_, found)| *found == features)?;
        Some(self.unread.remove(place).0)
    }

    /// The layer that a value comes from.
    fn before(&self, source: &str) -> Option<(String, &'a Layer)> {
        let place = self.names.iter().position(|name| name == source)?;
        Some((source.to_owned(), &self.groups[place].layer))
    }

    fn input(&mut self, axes: &Value, indices: bool) -> String {
        let mut name = "x".to_owned();
        let taken = |inputs: &[Value], names: &[String], name: &str| {
            names.iter().any(|other| other == name)
                || inputs.iter().any(|input| input["name"] == name)
        };
        let mut count = 1;
        while taken(&self.inputs, &self.names, &name) {
            count += 1;
            name = format!("x{count}");
        }
        self.inputs.push(if indices {
            json!({"name": name, "axes": axes, "dtype": "int32"})
        } else {
            json!({"name": name, "axes": axes})
        });
        name
    }
}
