//! Which mocks a stage has: in our process, in one of their own, or in a container.

use mock_server::MockOptions;

use super::compound::Compound;
use super::folder::Folder;
use super::ground::Ground;
use super::mock::Mock;
use super::{Means, StageError, compound};
use crate::scenario::Scenario;

/// Starts the mocks, with all that is around them in the engine.
pub(super) async fn start(
    scenario: &Scenario,
    means: &Means,
    seed: u64,
    folder: &Folder,
) -> Result<(Mock, Option<Box<Compound>>), StageError> {
    let options = MockOptions {
        seed,
        whatsapp: scenario.linking().is_some(),
        ..MockOptions::default()
    };
    // If we are killed, what has the folder mounted goes as well.
    let containers = means.ground.containers();
    let name = containers.map(|containers| containers.enter(folder.above()));
    match (&means.ground, name.transpose()?) {
        (Ground::Docker(containers), Some(name)) => {
            let cable = scenario.pulls_a_cable();
            let compound = Compound::build(containers, name, mock_args(&options), cable).await?;
            let mock = Mock::elsewhere(compound.control(), compound::mock_url()).await?;
            Ok((mock, Some(Box::new(compound))))
        }
        (Ground::Process | Ground::Hybrid(_) | Ground::Docker(_), _) => {
            let mock = match &means.binaries.mock_server {
                Some(program) => Mock::child(program, &options).await?,
                None => Mock::here(options).await?,
            };
            Ok((mock, None))
        }
    }
}

fn mock_args(options: &MockOptions) -> Vec<String> {
    let mut args = vec!["--seed".to_owned(), options.seed.to_string()];
    if !options.whatsapp {
        args.push("--no-whatsapp".to_owned());
    }
    args
}
