//! A model that goes on from its own outputs.

use super::Session;
use crate::Error;
use crate::model::SequenceAxes;

impl Session {
    /// Runs a causal model of one input and one output for `steps` steps: the first on `first`, each
    /// other on what `next` makes of the output before it.
    ///
    /// `first` is `[batch, features]`; `next` reads an output `[batch, outputs]` and writes the next
    /// input over the last one: a sample from a distribution, the embedding of a word, the output
    /// itself. The session goes on from its states; to start from those of another model, such as an
    /// encoder, give them to [`set_state`](Self::set_state) before. What comes back are all outputs,
    /// `[batch, steps, outputs]`, or `[steps, batch, outputs]` where the model's axes are so.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step), and if the outputs of so many steps are more than any memory holds.
    pub fn generate(
        &mut self,
        first: &[f32],
        steps: usize,
        mut next: impl FnMut(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, Error> {
        let outputs = self.plan.inner.outputs.first().map_or(0, |output| output.shape.features());
        let (mut x, mut y) = (first.to_vec(), vec![0.0; self.batch * outputs]);
        let most = isize::MAX.cast_unsigned() / size_of::<f32>() / y.len().max(1);
        if steps > most {
            return Err(Error::Shape {
                what: "the number of steps to generate".into(),
                expected: format!("at most {most}, whose outputs memory has addresses for"),
                found: steps.to_string(),
            });
        }
        let mut all = vec![0.0; steps * y.len()];
        for step in 0..steps {
            self.step(&x, &mut y)?;
            for (row, from) in y.chunks_exact(outputs).enumerate() {
                let place = match self.plan.inner.axes {
                    SequenceAxes::BatchTime => row * steps + step,
                    SequenceAxes::TimeBatch => step * self.batch + row,
                };
                all[place * outputs..][..outputs].copy_from_slice(from);
            }
            if step + 1 < steps {
                next(&y, &mut x);
            }
        }
        Ok(all)
    }
}
