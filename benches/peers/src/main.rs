//! Races ritornello against everything else that runs recurrent networks on CPUs, in one run, on
//! the same shapes, weights and inputs.

mod args;
mod case;
mod contest;
mod cores;
mod floor;
mod grid;
mod machine;
mod onnx;
mod picture;
mod race;
mod record;
mod reference;
mod rivals;
mod scratch;
mod table;

use std::process::ExitCode;

use args::Args;
use case::Case;
use contest::Rival;
use floor::Floor;
use grid::Shape;
use race::{Row, Rules};
use record::Record;
use rivals::OURS;
use scratch::Places;
use table::Measure;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{}", args::USAGE);
        return ExitCode::SUCCESS;
    }
    match Args::parse(words.into_iter()).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    cores::limit_pools(args.threads)?;
    let shapes: Vec<Shape> = grid::rows().into_iter().filter(|shape| args.wants(shape)).collect();
    let scaling = (!args.list).then(machine::scaling);
    cores::pin(args.threads)?;
    let places = Places {
        shims: args.shims.clone(),
        python: args.python.clone(),
        script: args.script.clone(),
        scratch: std::env::temp_dir().join(format!("ritornello-peers-{}", std::process::id())),
    };
    let mut rivals = rivals::all(&places);
    let every: Vec<String> = rivals.iter().map(|rival| rival.name().to_owned()).collect();
    if args.list {
        shapes.iter().for_each(|shape| println!("{shape}"));
        println!("{}", every.join(" "));
        return Ok(());
    }
    if let Some(wanted) = &args.rivals {
        if let Some(unknown) = wanted.iter().find(|name| !every.contains(name)) {
            return Err(format!("there is no rival '{unknown}'; there are: {}", every.join(" ")));
        }
        rivals
            .retain(|rival| rival.name() == OURS || wanted.iter().any(|name| name == rival.name()));
    }
    let (rivals, present, absent) = enrol(rivals);
    let names: Vec<String> = present.iter().map(|(name, _)| name.clone()).collect();
    let rows = rows(rivals, &shapes, &places, args)?;
    let level = rivals::level();
    let mut facts = machine::facts(&level, args.threads);
    let scaling = scaling.map_or(String::new(), |times| format!("{times:.2} times one"));
    facts.push(("two threads multiply and add".into(), scaling));
    facts.push(("precision".into(), args.precision.to_string()));
    facts.push(("tune".into(), args.tune.to_string()));
    facts.push(("budget".into(), format!("{} ms each", args.budget.as_millis())));
    facts.extend(present);
    let mut table = table::table(&names, &rows);
    table.extend(absent.iter().map(|(name, reason)| format!("{name}: {reason} (all rows)\n")));
    facts.extend(absent);
    print!("{table}");
    if let Some(folder) = &args.record {
        let place = Record { names: &names, rows: &rows, facts: &facts, table: &table };
        let files = place.write(&folder.join(machine::slug(&level)), args)?;
        eprintln!("{files}");
    }
    Ok(())
}

/// Names with versions.
type Versions = Vec<(String, String)>;

/// Parts those that are here from those that are absent, and says why they are.
fn enrol(rivals: Vec<Box<dyn Rival>>) -> (Vec<Box<dyn Rival>>, Versions, Versions) {
    let (mut here, mut present, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for rival in rivals {
        let name = rival.name().to_owned();
        match rival.version() {
            Ok(version) => {
                present.push((name, version));
                here.push(rival);
            }
            Err(reason) => {
                eprintln!("{name} is absent: {reason}");
                absent.push((name, format!("absent: {reason}")));
            }
        }
    }
    (here, present, absent)
}

fn rows(
    mut rivals: Vec<Box<dyn Rival>>,
    shapes: &[Shape],
    places: &Places,
    args: &Args,
) -> Result<Vec<Row>, String> {
    let rules = Rules { threads: args.threads, budget: args.budget };
    let mut floor = Floor::new(args.cli.clone());
    let mut rows = Vec::new();
    for &shape in shapes {
        eprintln!("{shape}");
        let case = Case::new(shape).in_precision(args.precision, args.tune);
        let files = scratch::Row::new(places, &case).map_err(|error| error.to_string())?;
        let outcomes = race::race(&mut rivals, &case, rules);
        drop(files);
        let ours = Measure::Best.of(&outcomes[0]);
        let floor = ours.and_then(|best| floor.percent(&case, args.threads, best * 1e6));
        rows.push(Row { shape, outcomes, floor });
    }
    Ok(rows)
}
