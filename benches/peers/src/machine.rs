//! Where and with what a race is run: the head of a record.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Lines `key: value` about machine, compiler and source.
pub(crate) fn facts(level: &str, threads: usize) -> Vec<(String, String)> {
    let mut facts = vec![("date".to_owned(), date())];
    let mut add = |key: &str, value: String| facts.push((key.to_owned(), value));
    let lscpu = output("lscpu", &[]);
    let of_lscpu = |key: &str| {
        let line = lscpu.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or("unknown").trim().to_owned()
    };
    add("machine", of_lscpu("Model name"));
    for key in ["Vendor ID", "CPU family", "Model", "CPU(s)", "Thread(s) per core"] {
        add(&key.to_lowercase(), of_lscpu(key));
    }
    for level in ["L1d", "L2", "L3"] {
        add(&level.to_lowercase(), of_lscpu(&format!("{level} cache")));
    }
    add("hypervisor", of_lscpu("Hypervisor vendor"));
    let flags = of_lscpu("Flags");
    let told = |flag: &&str| ["avx", "fma", "amx", "f16c"].iter().any(|part| flag.contains(part));
    add("vector flags", flags.split_whitespace().filter(told).collect::<Vec<_>>().join(" "));
    add("level in use", level.to_owned());
    add("threads", threads.to_string());
    let pages = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    add("transparent huge pages", pages.map_or("unknown".into(), |text| text.trim().to_owned()));
    add("load before", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned());
    add("rustc", output("rustc", &["--version"]));
    add("commit", output("git", &["describe", "--always", "--dirty", "--abbrev=12"]));
    facts
}

/// Today, `YYYY-MM-DD`.
pub(crate) fn date() -> String {
    output("date", &["-u", "+%F"])
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    output.map_or("unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

/// The folder of this machine's records, such as `amd-zen3-avx2`.
pub(crate) fn slug(level: &str) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = info.lines().find(|line| line.split(':').next().map(str::trim) == Some(key));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or("").trim().to_owned()
    };
    let number = |key: &str| field(key).parse::<u32>().unwrap_or(0);
    let vendor = match field("vendor_id").as_str() {
        "AuthenticAMD" => "amd",
        "GenuineIntel" => "intel",
        _ => std::env::consts::ARCH,
    };
    format!("{vendor}-{}-{level}", core(vendor, number("cpu family"), number("model")))
}

/// The name of a core where it is known; it serves as the name of a folder and nothing else.
fn core(vendor: &str, family: u32, model: u32) -> String {
    let known = match (vendor, family, model) {
        ("amd", 0x17, 0..=0x2F) => "zen",
        ("amd", 0x17, _) => "zen2",
        ("amd", 0x19, 0x00..=0x0F | 0x20..=0x5F) => "zen3",
        ("amd", 0x19, _) => "zen4",
        ("amd", 0x1A, _) => "zen5",
        ("intel", 6, 0x3C | 0x3F | 0x45 | 0x46) => "haswell",
        ("intel", 6, 0x3D | 0x47 | 0x4F | 0x56) => "broadwell",
        ("intel", 6, 0x4E | 0x5E | 0x55 | 0x8E | 0x9E) => "skylake",
        ("intel", 6, 0x6A | 0x6C | 0x7E) => "icelake",
        ("intel", 6, 0x8F) => "sapphire-rapids",
        ("intel", 6, 0xCF) => "emerald-rapids",
        ("intel", 6, 0xAD | 0xAE) => "granite-rapids",
        _ => return format!("family{family}-model{model}"),
    };
    known.to_owned()
}

/// How much more two threads multiply and add than one: 2 on two cores, about 1 on two halves of
/// one core.
pub(crate) fn scaling() -> f64 {
    let one = rate();
    let other = std::thread::spawn(rate);
    let here = rate();
    let both = here + other.join().unwrap_or(0.0);
    both / one
}

/// Multiplications and additions per second of this thread, in arbitrary units.
fn rate() -> f64 {
    let mut lanes = [1.0_f32; 64];
    let (started, mut rounds) = (Instant::now(), 0.0);
    while started.elapsed() < Duration::from_millis(100) {
        for _ in 0..10_000 {
            lanes.iter_mut().for_each(|lane| *lane = *lane * 0.999 + 0.001);
        }
        std::hint::black_box(&mut lanes);
        rounds += 1.0;
    }
    rounds / started.elapsed().as_secs_f64()
}
