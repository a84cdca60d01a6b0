//! GuitarML (NeuralPi, Proteus, Automated-GuitarAmpModelling): a recurrent layer of PyTorch, `rec`, a
//! linear one, `lin`, and with `skip` 1 the input on top.

use serde_json::json;

use super::json::Object;
use super::state_dict;
use crate::Error;
use crate::load::Spec;
use crate::load::model_file::ModelFile;

const MODEL: [&str; 8] = [
    "model",
    "input_size",
    "skip",
    "output_size",
    "unit_type",
    "num_layers",
    "hidden_size",
    "bias_fl",
];

/// Reads a file.
pub(super) fn read(top: &Object<'_>) -> Result<ModelFile, Error> {
    top.know(&["model_data", "state_dict"])?;
    let data = top.object("model_data")?;
    data.know(&MODEL)?;
    if data.text("model")? != "SimpleRNN" {
        let what = format!("'{}' of", data.text("model")?);
        return Err(data.unsupported(
            "model",
            &what,
            "only SimpleRNN is read: one `rec`, one `lin`",
        ));
    }
    let op = match data.text("unit_type")? {
        "LSTM" => "lstm",
        "GRU" => "gru",
        "RNN" => "rnn",
        other => {
            let what = format!("'{other}' of");
            return Err(data.unsupported("unit_type", &what, "there are: LSTM, GRU, RNN"));
        }
    };
    let (inputs, outputs) = (data.count("input_size")?, data.count("output_size")?);
    let skip = data.count_or("skip", 0)?;
    if skip > 1 || (skip == 1 && (outputs != 1 || inputs == 0)) {
        let what = format!("{skip} of");
        let advice = "0 adds nothing, 1 adds the first input to the only output";
        return Err(data.unsupported("skip", &what, advice));
    }
    let bias = match data.get("bias_fl") {
        None => true,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| super::json::mistyped(top.file(), "bias_fl", "true or false", value))?,
    };
    let weights = |prefix: &str| json!({"convention": "pytorch", "prefix": prefix});
    let mut nodes = vec![
        json!({"name": "rec", "op": op, "inputs": ["x"], "hidden_size": data.count("hidden_size")?,
               "layers": data.count_or("num_layers", 1)?, "weights": weights("rec.")}),
        json!({"name": "lin", "op": "dense", "inputs": ["rec"], "bias": bias,
               "weights": weights("lin.")}),
    ];
    if skip == 1 && inputs > 1 {
        nodes.push(json!({"name": "first", "op": "select", "inputs": ["x"], "features": [0, 1]}));
    }
    if skip == 1 {
        let first = if inputs > 1 { "first" } else { "x" };
        nodes.push(json!({"name": "skip", "op": "add", "inputs": ["lin", first]}));
    }
    let last = if skip == 1 { "skip" } else { "lin" };
    let spec = json!({
        "ritornello": 1,
        "inputs": [{"name": "x", "axes": ["batch", "time", inputs]}],
        "nodes": nodes,
        "outputs": [{"name": "y", "value": last}],
    });
    let tensors = state_dict::tensors(&top.object("state_dict")?)?;
    let model = Spec::from_json(&spec.to_string())?.build(&tensors)?;
    let found = model.shape(model.outputs()[0].value)?.features();
    if found != outputs {
        let problem = format!("it is {outputs}, but lin.weight gives {found}");
        return Err(data.wrong("output_size", problem));
    }
    Ok(ModelFile::new(model))
}
