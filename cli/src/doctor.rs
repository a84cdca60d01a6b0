//! `ritornello doctor`: what this machine offers, what of it is used, and what it can do at most,
//! which is measured for about a second.

use std::fmt::Write as _;
use std::path::Path;

use ritornello::plan::Machine;
use ritornello::{Error, Isa};
use serde_json::{Map, Value, json};

use crate::args::Options;
use crate::demo;
use crate::failure::{Blame, Failure};
use crate::inspect::threads_text;
use crate::output::Console;

/// The features worth knowing about, as Linux spells them.
const FEATURES: &str = "avx2 fma f16c avx_vnni avx512f avx512bw avx512dq avx512vl avx512_vnni \
                        avx512_bf16 avx512_fp16 amx_tile amx_bf16 amx_int8";

/// Prints the CPU, the levels of the kernels, the threads a plan would use, and what was measured.
pub(crate) fn doctor(options: &Options, console: &Console) -> Result<(), Failure> {
    let asked = std::env::var(Isa::VARIABLE).ok();
    let available = names(&Isa::available());
    let missing = names(&Isa::missing());
    let plan = demo::model().and_then(|model| model.into_plan(options.plan())).blame_model()?;
    let explanation = plan.explain();
    let cores = std::thread::available_parallelism().ok().map(usize::from);
    let cpu = Cpu::read();
    let measured = Measured::take(explanation.isa).blame_usage()?;

    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "{what:<17} {value}");
    };
    if let Some(model) = &cpu.model {
        line("cpu", model);
    }
    if let Some(cores) = cores {
        line("cores to run on", &cores.to_string());
    }
    if !cpu.features.is_empty() {
        line("features", &cpu.features.join(" "));
    }
    for (name, size) in &cpu.caches {
        line(name, size);
    }
    line("levels", &available.join(", "));
    if !missing.is_empty() {
        line("levels it lacks", &missing.join(", "));
    }
    let why = match &asked {
        Some(_) => format!("as {} says", Isa::VARIABLE),
        None => "the best there is".into(),
    };
    line("level chosen", &format!("{}, {why}", explanation.isa));
    line("precision", &explanation.precision.to_string());
    line("threads", &threads_text(explanation.threads));
    for (what, value) in measured.lines() {
        line(what, &value);
    }
    console.text(&text)?;
    let caches: Map<String, Value> =
        cpu.caches.iter().map(|(name, size)| (name.clone(), size.as_str().into())).collect();
    console.object(&json!({
        "cpu": cpu.model,
        "cores": cores,
        "features": cpu.features,
        "caches": caches,
        "levels": available,
        "levels_missing": missing,
        "isa": explanation.isa.to_string(),
        "isa_asked": asked,
        "precision": explanation.precision.to_string(),
        "tune": explanation.tune.to_string(),
        "threads": explanation.threads,
        "measured": measured.object(),
    }))
}

/// Sizes of memory whose bandwidths are measured: near, and farther and farther.
const READ: [(&str, usize); 4] =
    [("16 KiB", 16 << 10), ("256 KiB", 256 << 10), ("4 MiB", 4 << 20), ("64 MiB", 64 << 20)];

/// What this machine can do at most with one level.
struct Measured {
    machine: Machine,
    /// GFLOP/s of two threads at once, if they had a core each.
    together: Option<f64>,
    /// GB/s, for each size of [`READ`].
    bandwidths: [f64; READ.len()],
}

impl Measured {
    fn take(isa: Isa) -> Result<Self, Error> {
        let mut machine = Machine::measure(isa)?;
        let together = machine.hand_over().map(|_| machine.peak_gflops_together(2));
        let bandwidths = READ.map(|(_, bytes)| machine.read_bandwidth(bytes));
        Ok(Self { machine, together, bandwidths })
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let one = self.machine.calibration();
        let peak = match self.together {
            Some(two) => format!("{:.1} GFLOP/s; 2 threads at once {two:.1}", one.peak_gflops),
            None => format!("{:.1} GFLOP/s", one.peak_gflops),
        };
        let bandwidths: Vec<String> = READ
            .iter()
            .zip(self.bandwidths)
            .map(|((size, _), bandwidth)| format!("{size} {bandwidth:.0}"))
            .collect();
        let latencies = format!(
            "multiply-add {:.2} ns, division {:.2} ns (one each {:.2} ns), store to load {:.2} ns",
            one.fma_latency, one.division_latency, one.division_interval, one.store_to_load
        );
        let split = match one.split_gflops {
            split if split > 0.0 => format!("{split:.0} GFLOP/s of f32 in parts (f32-split)"),
            _ => "none here".into(),
        };
        let mut lines = vec![
            ("peak", peak),
            ("matrix unit", split),
            ("reads, GB/s", bandwidths.join(", ")),
            ("latencies", latencies),
        ];
        let hand_over = self.machine.hand_over().map(|hand_over| format!("{hand_over:.0} ns"));
        let none = || "two threads never had a core each".into();
        lines.push(("thread to thread", hand_over.unwrap_or_else(none)));
        lines
    }

    fn object(&self) -> Value {
        let one = self.machine.calibration();
        let reads = READ.iter().zip(self.bandwidths);
        let reads = reads.map(|((_, bytes), gbps)| json!({"bytes": bytes, "gbps": gbps}));
        json!({
            "peak_gflops": one.peak_gflops,
            "peak_gflops_two_threads": self.together,
            "split_gflops": (one.split_gflops > 0.0).then_some(one.split_gflops),
            "reads": reads.collect::<Vec<_>>(),
            "fma_latency_ns": one.fma_latency,
            "division_latency_ns": one.division_latency,
            "division_interval_ns": one.division_interval,
            "store_to_load_ns": one.store_to_load,
            "hand_over_ns": self.machine.hand_over(),
        })
    }
}

fn names(levels: &[Isa]) -> Vec<String> {
    levels.iter().map(ToString::to_string).collect()
}

/// What the operating system says of the first CPU; nothing where it says nothing.
#[derive(Debug, Default)]
struct Cpu {
    model: Option<String>,
    features: Vec<&'static str>,
    caches: Vec<(String, String)>,
}

impl Cpu {
    fn read() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)
        };
        let flags: Vec<&str> =
            field("flags").map_or_else(Vec::new, |(_, flags)| flags.split_whitespace().collect());
        Self {
            model: field("model name").map(|(_, model)| model.to_owned()),
            features: FEATURES.split(' ').filter(|name| flags.contains(name)).collect(),
            caches: (0..8).filter_map(cache).collect(),
        }
    }
}

/// Name and size of a cache of the first CPU, if it holds data.
fn cache(index: usize) -> Option<(String, String)> {
    let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
    let read = |file: &str| std::fs::read_to_string(Path::new(&folder).join(file)).ok();
    let (level, kind, size) = (read("level")?, read("type")?, read("size")?);
    if kind.trim() == "Instruction" {
        return None;
    }
    Some((format!("cache level {}", level.trim()), size.trim().to_owned()))
}
