//! Self-tests: a model held against answers in its own file, of what a run gives and a file keeps.

use crate::load::{ModelFile, SelfTest};
use crate::{Array, Error, Plan, PlanOptions};

/// How much an output may differ, as a part of max(1, max|y|) of its finite numbers.
const TOLERANCE: f64 = 1e-5;

/// How far an output is from what a [`SelfTest`] expects.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The output.
    pub output: String,
    /// The greatest difference of two numbers; infinite where one of them alone is not finite.
    pub found: f64,
    /// The greatest that passes.
    pub allowed: f64,
}

impl SelfTest {
    /// Takes inputs, and what a plan gives for them from fresh states.
    ///
    /// # Errors
    ///
    /// If an array is missing, or its name or shape does not fit.
    pub fn record(plan: &Plan, inputs: Vec<(String, Array)>) -> Result<Self, Error> {
        let outputs = plan.run(&named(&inputs))?;
        Ok(Self { inputs, outputs })
    }

    /// Runs a plan on the inputs and compares.
    ///
    /// # Errors
    ///
    /// If an array of the test has a name or a shape that does not fit the model.
    pub fn differences(&self, plan: &Plan) -> Result<Vec<Difference>, Error> {
        let found = plan.run(&named(&self.inputs))?;
        let compared = self.outputs.iter().map(|(name, expected)| {
            let Some((_, found)) = found.iter().find(|(other, _)| other == name) else {
                let known: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                return Err(Error::UnknownName {
                    what: "output",
                    name: name.clone(),
                    known: known.join(", "),
                });
            };
            compare(name, found, expected)
        });
        compared.collect()
    }
}

impl ModelFile {
    /// Plans the model, and holds the plan against the file's self-test.
    ///
    /// # Errors
    ///
    /// If the file has no self-test, if the plan gives something else ([`Error::SelfTest`]), or for
    /// the reasons of [`Model::plan`](crate::Model::plan).
    pub fn into_checked_plan(self, options: PlanOptions) -> Result<Plan, Error> {
        let Some(test) = self.self_test else {
            return Err(Error::Unsupported {
                what: "a check of a file without a self-test".into(),
                advice: "`ritornello convert --self-test` writes one that has it".into(),
            });
        };
        let plan = self.model.into_plan(options)?;
        for Difference { output, found, allowed } in test.differences(&plan)? {
            if found > allowed {
                return Err(Error::SelfTest { output, found, allowed });
            }
        }
        Ok(plan)
    }
}

fn named(arrays: &[(String, Array)]) -> Vec<(&str, &Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array)).collect()
}

fn compare(name: &str, found: &Array, expected: &Array) -> Result<Difference, Error> {
    let (Some(numbers), Some(others)) = (found.as_f32(), expected.as_f32()) else {
        return Err(Error::Shape {
            what: format!("output '{name}' of the self-test"),
            expected: "real numbers".into(),
            found: "indices".into(),
        });
    };
    if found.shape() != expected.shape() {
        return Err(Error::Shape {
            what: format!("output '{name}' of the self-test"),
            expected: format!("{:?} like the model's", found.shape()),
            found: format!("{:?}", expected.shape()),
        });
    }
    let pairs = numbers.iter().zip(others).map(|(&a, &b)| distance(f64::from(a), f64::from(b)));
    let finite = others.iter().filter(|number| number.is_finite());
    let scale = finite.fold(1.0_f64, |most, &y| most.max(f64::from(y.abs())));
    Ok(Difference {
        output: name.to_owned(),
        found: pairs.fold(0.0, f64::max),
        allowed: TOLERANCE * scale,
    })
}

/// 0 for equal numbers, infinities and NaN among them.
fn distance(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let distance = (a - b).abs();
    if distance.is_nan() { f64::INFINITY } else { distance }
}
