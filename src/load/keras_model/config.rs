//! The configuration of one layer. Every attribute is asked for, known to have no effect at
//! inference, or refused by name.

use serde_json::{Map, Value};

use super::inside;
use crate::Error;

/// Attributes that have no effect at inference, whatever they are.
const TRAINING_ONLY: &[&str] = &[
    "name",
    "trainable",
    "activity_regularizer",
    "dropout",
    "recurrent_dropout",
    "seed",
    "unroll",
    "implementation",
    "unit_forget_bias",
    "momentum",
    "synchronized",
    "renorm_momentum",
    "use_cudnn",
];

/// A layer as `config.json` has it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    /// All of it.
    pub(super) value: &'a Value,
    module: &'a str,
    config: &'a Map<String, Value>,
    /// The shape it was built for.
    input_shape: Option<&'a Value>,
    /// The number of axes of what it is called on, where the graph tells.
    called_on: Option<usize>,
}

impl<'a> Layer<'a> {
    /// Takes the serialized layer that stands at `place`.
    pub(super) fn new(place: &str, value: &'a Value) -> Result<Self, Error> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let problem = |what: &str| inside("config.json", &format!("{place}: {what}"));
        let class = text("class_name").ok_or_else(|| problem("it has no class_name"))?;
        let config = value.get("config").and_then(Value::as_object);
        let config = config.ok_or_else(|| problem("it has no config"))?;
        let name = config.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| problem("it has no name"))?;
        let input_shape = value.get("build_config").and_then(|build| build.get("input_shape"));
        let module = text("module").unwrap_or_default();
        let layer = Self { class, name, value, module, config, input_shape, called_on: None };
        if let Some(module) = text("module").filter(|module| !module.starts_with("keras")) {
            return Err(layer.unsupported(
                &format!("from the module {module}"),
                "only Keras's own layers are read",
            ));
        }
        Ok(layer)
    }

    /// Whether it is an operation of Keras on tensors and no layer.
    pub(super) fn is_operation(&self) -> bool {
        self.module.starts_with("keras.src.ops")
    }

    /// The same layer, called on a tensor of this many axes.
    pub(super) fn called_on(self, axes: Option<usize>) -> Self {
        Self { called_on: axes, ..self }
    }

    /// How messages call it.
    pub(super) fn label(&self) -> String {
        format!("layer '{}' ({})", self.name, self.class)
    }

    /// The error that something about it is not supported.
    pub(super) fn unsupported(&self, what: &str, advice: &str) -> Error {
        let what = format!("{} {what}", self.label()).trim_end().to_owned();
        Error::Unsupported { what, advice: advice.into() }
    }

    /// The error that an attribute is not what it can be.
    fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.config.get(key).map_or("missing".into(), ToString::to_string);
        let problem = format!("{}: {key} is {found}, expected {expected}", self.label());
        inside("config.json", &problem)
    }

    /// Refuses every attribute that is neither in `asked` nor without effect.
    pub(super) fn know(&self, asked: &[&str]) -> Result<(), Error> {
        for (key, value) in self.config {
            let harmless = TRAINING_ONLY.contains(&key.as_str())
                || ["_initializer", "_regularizer", "_constraint"].iter().any(|e| key.ends_with(e))
                || value.is_null();
            if key == "dtype" && !asked.contains(&"dtype") {
                self.check_dtype(value)?;
            } else if !harmless && !asked.contains(&key.as_str()) {
                return Err(self.unsupported(
                    &format!("with {key}={value}"),
                    "this attribute is not known; save the layer without it",
                ));
            }
        }
        Ok(())
    }

    /// Any floating point policy will do; weights are stored as float32 whatever it is.
    fn check_dtype(&self, value: &Value) -> Result<(), Error> {
        let policy = value.get("class_name").and_then(Value::as_str).unwrap_or("DTypePolicy");
        let name = value.get("config").and_then(|c| c.get("name")).unwrap_or(value).as_str();
        if policy == "DTypePolicy" && name.is_some_and(|name| name.contains("float")) {
            return Ok(());
        }
        let what = format!("with dtype {}", name.unwrap_or(policy));
        Err(self.unsupported(&what, "save the model with float32 weights, not quantized"))
    }

    /// An attribute, unless it is null or not there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    /// Whether an attribute is there, if only as null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.config.contains_key(key)
    }

    /// An attribute that must be a count.
    pub(super) fn count(&self, key: &str) -> Result<usize, Error> {
        let count = self.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.wrong(key, "a count"))
    }

    /// A switch, or what it is when it is not there.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A number, or what it is when it is not there.
    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| self.wrong(key, "a number")),
        }
    }

    /// Fails unless the attribute, if it is there, is the last axis.
    pub(super) fn expect_last_axis(&self, key: &str) -> Result<(), Error> {
        let Some(value) = self.get(key) else { return Ok(()) };
        let value = match value.as_array().map(Vec::as_slice) {
            Some([only]) => only,
            _ => value,
        };
        let axis = value.as_i64().ok_or_else(|| self.wrong(key, "a number"))?;
        let last = self.rank().and_then(|rank| i64::try_from(rank).ok()).map(|rank| rank - 1);
        if axis == -1 || (axis > 0 && Some(axis) == last) {
            return Ok(());
        }
        let advice = "only the last axis, -1, is supported";
        Err(self.unsupported(&format!("with {key}={axis}"), advice))
    }

    /// The number of axes of the input it was built for, or of the first of them.
    fn rank(&self) -> Option<usize> {
        self.built_rank().or(self.called_on)
    }

    fn built_rank(&self) -> Option<usize> {
        let axes = self.input_shape?.as_array()?;
        match axes.first()? {
            Value::Array(first) => Some(first.len()),
            _ => Some(axes.len()),
        }
    }

    /// A layer that is an attribute of this one.
    pub(super) fn inner(&self, key: &str) -> Result<Option<Self>, Error> {
        self.get(key)
            .map(|value| Layer::new(&format!("{}: {key}", self.label()), value))
            .transpose()
    }

    /// Layers that are an attribute of this one.
    pub(super) fn inner_list(&self, key: &str) -> Result<Vec<Self>, Error> {
        let list = self.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.wrong(key, "a list of layers"))?;
        let place = format!("{}: {key}", self.label());
        list.iter().map(|value| Layer::new(&place, value)).collect()
    }
}
