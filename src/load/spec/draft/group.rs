//! The tensors of one layer, found by name, and what layer it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Notes;
use crate::load::tensors::Tensors;

/// The tensors behind one prefix: name without it, shape.
type Members<'a> = BTreeMap<&'a str, &'a [usize]>;

/// A layer, and where its tensors are.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) prefix: String,
    pub(super) convention: &'static str,
    pub(super) layer: Layer,
}

/// What a layer is.
#[derive(Debug)]
pub(super) enum Layer {
    Recurrent(Recurrent),
    Dense { inputs: usize, outputs: usize, bias: bool },
    Embedding { features: usize, sure: bool },
    BatchNorm { features: usize },
}

/// What shapes tell of a recurrent node.
#[derive(Debug)]
pub(super) struct Recurrent {
    op: &'static str,
    inputs: usize,
    hidden: usize,
    /// Features of h if it is projected.
    projection: Option<usize>,
    layers: usize,
    bidirectional: bool,
    bias: bool,
    /// Of a GRU of Keras: what its bias tells.
    reset: Option<&'static str>,
}

impl Layer {
    /// The word for it in a specification.
    pub(super) fn op(&self) -> &'static str {
        match self {
            Self::Recurrent(layer) => layer.op,
            Self::Dense { .. } => "dense",
            Self::Embedding { .. } => "embedding",
            Self::BatchNorm { .. } => "scale_shift",
        }
    }

    /// Which is likely to stand first, where sizes tell nothing.
    fn rank(&self) -> usize {
        match self {
            Self::Embedding { .. } => 0,
            Self::Recurrent(_) => 1,
            Self::BatchNorm { .. } => 2,
            Self::Dense { .. } => 3,
        }
    }
}

impl Group {
    /// Features in, if it does not take indices, and out.
    pub(super) fn sizes(&self) -> (Option<usize>, usize) {
        match &self.layer {
            Layer::Recurrent(layer) => {
                let state = layer.projection.unwrap_or(layer.hidden);
                let directions = 1 + usize::from(layer.bidirectional);
                (Some(layer.inputs), state.saturating_mul(directions))
            }
            Layer::Dense { inputs, outputs, .. } => (Some(*inputs), *outputs),
            Layer::Embedding { features, .. } => (None, *features),
            Layer::BatchNorm { features } => (Some(*features), *features),
        }
    }

    pub(super) fn is_pytorch(&self) -> bool {
        self.convention == "pytorch"
    }

    /// Its node.
    pub(super) fn node(&self, name: &str, source: &str, notes: &mut Notes) -> Value {
        let mut node = Map::new();
        node.insert("name".into(), json!(name));
        node.insert("op".into(), json!(self.layer.op()));
        node.insert("inputs".into(), json!([source]));
        match &self.layer {
            Layer::Recurrent(layer) => layer.keys(name, self.is_pytorch(), &mut node, notes),
            Layer::Dense { bias, .. } => {
                if !bias {
                    node.insert("bias".into(), json!(false));
                }
                notes.usual(format!("node '{name}' has no activation: it is not in the file"));
            }
            Layer::Embedding { sure, .. } => {
                if !sure {
                    notes.guess(format!(
                        "node '{name}' is an embedding by its name: a dense layer without bias has \
                         the same tensor (\"op\": \"dense\", \"bias\": false)"
                    ));
                }
            }
            Layer::BatchNorm { .. } => {
                let eps = if self.is_pytorch() { "1e-5" } else { "1e-3" };
                notes.usual(format!("node '{name}' has the default \"eps\", {eps}"));
            }
        }
        let weights = json!({"convention": self.convention, "prefix": self.prefix});
        node.insert("weights".into(), weights);
        Value::Object(node)
    }
}

impl Recurrent {
    fn keys(&self, name: &str, torch: bool, node: &mut Map<String, Value>, notes: &mut Notes) {
        node.insert("hidden_size".into(), json!(self.hidden));
        if let Some(projection) = self.projection {
            node.insert("proj_size".into(), json!(projection));
        }
        if self.layers > 1 {
            node.insert("layers".into(), json!(self.layers));
        }
        if self.bidirectional {
            node.insert("direction".into(), json!("bidirectional"));
        }
        if !self.bias {
            node.insert("bias".into(), json!(false));
        }
        if self.op == "rnn" {
            notes.usual(format!(
                "node '{name}' has the activation tanh: write \"activation\": \"relu\" if it has \
                 that"
            ));
        } else if !torch {
            notes.usual(format!(
                "node '{name}' has the activations tanh and sigmoid, and goes forward: the file \
                 does not say so"
            ));
        }
        if self.op == "gru" && !torch {
            match self.reset {
                Some(reset) => {
                    node.insert("reset".into(), json!(reset));
                }
                None => notes.usual(format!(
                    "node '{name}' resets after the product: without a bias, the file does not say \
                     so"
                )),
            }
        }
        if self.bidirectional && !torch {
            notes.usual(format!("node '{name}' merges its directions by concatenation"));
        }
    }
}

/// Every layer that is found, in the order in which they were written or else a likely one, and the
/// tensors that are in none.
pub(super) fn groups(tensors: &Tensors) -> (Vec<Group>, Vec<String>) {
    let mut members: BTreeMap<&str, Members<'_>> = BTreeMap::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, shape, place) in tensors.shapes() {
        let at = name.rfind(['.', '/']).map_or(0, |at| at + 1);
        members.entry(&name[..at]).or_default().insert(&name[at..], shape);
        let first = places.entry(&name[..at]).or_insert(place);
        *first = place.min(*first);
    }
    let (mut groups, mut left) = (Vec::new(), Vec::new());
    let prefixes: Vec<&str> = members.keys().copied().collect();
    for prefix in prefixes {
        // A backward half may be gone with its forward one.
        let Some(own) = members.remove(prefix) else { continue };
        let place = places[prefix];
        if let Some((group, other)) = both_ways(prefix, &own, &members) {
            members.remove(other.as_str());
            groups.push((place, group));
            continue;
        }
        match keras(&own).or_else(|| pytorch(prefix, &own)) {
            Some((convention, layer)) => {
                groups.push((place, Group { prefix: prefix.to_owned(), convention, layer }));
            }
            None => left.extend(own.keys().map(|name| format!("{prefix}{name}"))),
        }
    }
    groups.sort_by(|(place, a), (other, b)| {
        if tensors.are_ordered() {
            return place.cmp(other);
        }
        let natural = || natural(&a.prefix).cmp(&natural(&b.prefix));
        a.layer.rank().cmp(&b.layer.rank()).then_with(natural)
    });
    (groups.into_iter().map(|(_, group)| group).collect(), left)
}

/// A name whose numbers are compared as such.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, numbers) = rest.split_at(digits);
        let end = numbers.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbers.len());
        let (number, after) = numbers.split_at(end);
        parts.push((word.to_owned(), number.parse().unwrap_or(0)));
        rest = after;
    }
    parts
}

/// The two halves of a layer of Keras, `forward.` and `backward.`.
fn both_ways(
    prefix: &str,
    own: &Members<'_>,
    others: &BTreeMap<&str, Members<'_>>,
) -> Option<(Group, String)> {
    let (stem, other) = match (prefix.strip_suffix("forward."), prefix.strip_suffix("backward.")) {
        (Some(stem), _) => (stem, format!("{stem}backward.")),
        (_, Some(stem)) => (stem, format!("{stem}forward.")),
        _ => return None,
    };
    let twin = others.get(other.as_str())?;
    let (_, Layer::Recurrent(layer)) = keras(own)? else { return None };
    (own == twin).then(|| {
        let layer = Layer::Recurrent(Recurrent { bidirectional: true, ..layer });
        (Group { prefix: stem.to_owned(), convention: "keras", layer }, other)
    })
}

/// A layer with the names of Keras.
fn keras(own: &Members<'_>) -> Option<(&'static str, Layer)> {
    let names: Vec<&str> = own.keys().copied().collect();
    let layer = match names[..] {
        ["bias", "kernel", "recurrent_kernel"] | ["kernel", "recurrent_kernel"] => {
            let &[hidden, columns] = own["recurrent_kernel"] else { return None };
            let &[inputs, _] = own["kernel"] else { return None };
            let op = cell(columns, hidden)?;
            let bias = own.get("bias").copied();
            let reset = match bias.map(<[usize]>::len) {
                Some(2) => Some("after"),
                Some(_) => Some("before"),
                None => None,
            };
            let recurrent = Recurrent {
                op,
                inputs,
                hidden,
                projection: None,
                layers: 1,
                bidirectional: false,
                bias: bias.is_some(),
                reset: reset.filter(|_| op == "gru"),
            };
            Layer::Recurrent(recurrent)
        }
        ["bias", "kernel"] | ["kernel"] => {
            let &[inputs, outputs] = own["kernel"] else { return None };
            Layer::Dense { inputs, outputs, bias: own.contains_key("bias") }
        }
        ["embeddings"] => {
            let &[_, features] = own["embeddings"] else { return None };
            Layer::Embedding { features, sure: true }
        }
        [.., "moving_mean", "moving_variance"]
            if names
                .iter()
                .all(|name| ["beta", "gamma", "moving_mean", "moving_variance"].contains(name)) =>
        {
            let &[features] = own["moving_mean"] else { return None };
            Layer::BatchNorm { features }
        }
        _ => return None,
    };
    Some(("keras", layer))
}

/// The cell with so many rows of gates, by its units.
fn cell(rows: usize, hidden: usize) -> Option<&'static str> {
    match rows.checked_div(hidden)? {
        1 if rows == hidden => Some("rnn"),
        3 if rows == 3 * hidden => Some("gru"),
        4 if rows == 4 * hidden => Some("lstm"),
        _ => None,
    }
}

/// A layer with the names of PyTorch.
fn pytorch(prefix: &str, own: &Members<'_>) -> Option<(&'static str, Layer)> {
    let names: Vec<&str> = own.keys().copied().collect();
    let of_norm = ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"];
    let layer = match names[..] {
        ["bias", "weight"] | ["weight"] => {
            let &[rows, columns] = own["weight"] else { return None };
            let bias = own.contains_key("bias");
            if !bias && prefix.to_ascii_lowercase().contains("emb") {
                Layer::Embedding { features: columns, sure: false }
            } else {
                Layer::Dense { inputs: columns, outputs: rows, bias }
            }
        }
        _ if own.contains_key("running_mean")
            && own.contains_key("running_var")
            && names.iter().all(|name| of_norm.contains(name)) =>
        {
            let &[features] = own["running_mean"] else { return None };
            Layer::BatchNorm { features }
        }
        _ => Layer::Recurrent(torch_recurrent(own)?),
    };
    Some(("pytorch", layer))
}

/// `weight_ih_l0` and its like; every layer and direction must have the same names.
fn torch_recurrent(own: &Members<'_>) -> Option<Recurrent> {
    const PARTS: [&str; 5] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"];
    let is_cell = own.contains_key("weight_ih");
    let layer_of = |layer: usize| if is_cell { String::new() } else { format!("_l{layer}") };
    let first = layer_of(0);
    let &[rows, state] = *own.get(format!("weight_hh{first}").as_str())? else { return None };
    let &[_, inputs] = *own.get(format!("weight_ih{first}").as_str())? else { return None };
    let projection = own.get(format!("weight_hr{first}").as_str()).copied();
    let hidden = match projection {
        Some(&[_, hidden]) => hidden,
        Some(_) => return None,
        None => state,
    };
    let op = cell(rows, hidden)?;
    let bias = own.contains_key(format!("bias_ih{first}").as_str());
    let bidirectional = own.contains_key(format!("weight_ih{first}_reverse").as_str());
    let sides = if bidirectional { &["", "_reverse"][..] } else { &[""] };
    let here = |part: &str| match part {
        "bias_ih" | "bias_hh" => bias,
        "weight_hr" => projection.is_some(),
        _ => true,
    };
    let expected = PARTS.iter().filter(|part| here(part)).count() * sides.len();
    let layers = own.len() / expected;
    let all = (0..layers).all(|layer| {
        let name = |part: &str, side: &str| format!("{part}{}{side}", layer_of(layer));
        let parts = PARTS.iter().filter(|part| here(part));
        let each = parts.flat_map(|part| sides.iter().map(move |side| name(part, side)));
        each.into_iter().all(|name| own.contains_key(name.as_str()))
    });
    let whole = all && layers * expected == own.len() && (layers == 1 || !is_cell);
    whole.then(|| Recurrent {
        op,
        inputs,
        hidden,
        projection: projection.map(|_| state),
        layers,
        bidirectional,
        bias,
        reset: None,
    })
}
