//! This library's own files: `.safetensors` with a specification in the header.
//!
//! | in the file | holds |
//! |---|---|
//! | metadata `ritornello` | the [`Spec`], version 1 |
//! | other metadata | what is said of the model, by key |
//! | tensors that the spec names | weights, in canonical order |
//! | tensors `@input.NAME`, `@output.NAME` | a self-test, if there is one |

use super::container::safetensors::{self, Contents};
use super::model_file::{ModelFile, SelfTest};
use super::spec::{Spec, canonical_tensors};
use crate::{Array, Error, Model, Numbers};

/// The key of the specification.
const SPEC: &str = "ritornello";
/// What the tensors of a self-test are called before their names.
const INPUT: &str = "@input.";
const OUTPUT: &str = "@output.";

/// Reads a file taken apart.
pub(super) fn read(file: Contents) -> Result<ModelFile, Error> {
    let Contents { tensors, mut metadata } = file;
    let Some(text) = metadata.remove(SPEC) else {
        return Err(Error::Unsupported {
            what: "a file of weights only".into(),
            advice: "say with a spec which layers they belong to \
                     (load_with_spec, or --spec SPEC.json; `ritornello inspect FILE --spec` drafts \
                     one)"
                .into(),
        });
    };
    let spec = Spec::from_json(&text)?;
    let inputs = tensors.take_arrays(INPUT)?;
    let outputs = tensors.take_arrays(OUTPUT)?;
    if outputs.is_empty() && !inputs.is_empty() {
        return Err(Error::Format {
            container: "self-test".into(),
            problem: format!("there are inputs ({INPUT}NAME) and no outputs ({OUTPUT}NAME)"),
        });
    }
    let model = spec.build(&tensors)?;
    let mut about: Vec<(String, String)> = metadata.into_iter().collect();
    about.sort();
    let self_test = (!outputs.is_empty()).then_some(SelfTest { inputs, outputs });
    Ok(ModelFile { model, about, self_test })
}

/// The bytes of a file.
pub(super) fn encode(
    model: &Model,
    about: &[(String, String)],
    self_test: Option<&SelfTest>,
) -> Result<Vec<u8>, Error> {
    let mut metadata = std::collections::HashMap::new();
    for (key, text) in about {
        if metadata.insert(key.clone(), text.clone()).is_some() || key == SPEC {
            return Err(Error::DuplicateName { what: "key", name: key.clone() });
        }
    }
    metadata.insert(SPEC.to_owned(), Spec::from_model(model)?.to_json());
    let weights = canonical_tensors(model).into_iter();
    let mut tensors: Vec<_> =
        weights.map(|(name, shape, values)| (name, shape, Numbers::F32(values))).collect();
    if let Some(test) = self_test {
        for (prefix, arrays) in [(INPUT, &test.inputs), (OUTPUT, &test.outputs)] {
            tensors.extend(arrays.iter().map(|(name, array)| tensor(prefix, name, array)));
        }
    }
    let mut names: Vec<&String> = tensors.iter().map(|(name, _, _)| name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::DuplicateName { what: "tensor", name: pair[0].clone() });
    }
    safetensors::encode(&tensors, metadata)
}

fn tensor<'a>(prefix: &str, name: &str, array: &'a Array) -> (String, Vec<usize>, Numbers<'a>) {
    (format!("{prefix}{name}"), array.shape().to_vec(), array.as_view().numbers())
}
