//! Where groups' workspaces are kept: whether it can be asked, and what has not got there yet.

use std::time::Duration;

use tokio::time::timeout;

use super::finding::{Check, Finding};
use super::process::Presence;
use crate::clock::Clock;
use crate::config::{Config, StoreUrl};
use crate::store::{Checkup, OwedRelease};
use crate::workspace::{self, Keeping, StoreFault, trouble};

/// A store that is well answers in a second.
const PATIENCE: Duration = Duration::from_secs(5);

const MEANWHILE: &str =
    "answers are delivered meanwhile, and what is to be released or restored is when it is back";

pub(super) async fn workspaces(
    config: &Config,
    presence: Presence,
    checkup: Option<&Checkup>,
) -> Finding {
    let Some(url) = &config.workspace.store else {
        let found = "workspace_store is not set: they are on this machine alone";
        return Finding::ok(Check::Workspaces, found);
    };
    if let StoreUrl::Folder(folder) = url
        && !folder.exists()
    {
        let cause = format!("workspace_store: `{url}` is not there yet");
        let way_out = "nanokimi makes it when it starts; if it should be there, mount its disk";
        return Finding::warning(Check::Workspaces, cause, way_out);
    }
    let groups = match ask(config).await {
        Ok(groups) => groups,
        Err(trouble) => return trouble,
    };
    let owed = checkup.map_or(&[][..], |checkup| &checkup.owed);
    standing(&format!("`{url}`"), groups, owed, presence)
}

/// How many groups are there. It is listed as nanokimi does it at its start, and nothing is made.
async fn ask(config: &Config) -> Result<usize, Finding> {
    let opened = workspace::open(config, &Clock::system()).map_err(|fault| refused(&fault))?;
    let Some(bucket) = opened else {
        return Ok(0);
    };
    match timeout(PATIENCE, bucket.groups()).await {
        Ok(Ok(groups)) => Ok(groups.len()),
        Ok(Err(fault)) => Err(refused(&fault)),
        Err(_elapsed) => {
            let cause = format!(
                "workspace_store: `{}` has said nothing for {PATIENCE:?}",
                bucket.shown()
            );
            let way_out =
                format!("see whether its service is up and reached from here; {MEANWHILE}");
            Err(Finding::broken(Check::Workspaces, cause, way_out))
        }
    }
}

fn refused(fault: &StoreFault) -> Finding {
    let way_out = if fault.is_missing() {
        "make the bucket, or set workspace_store to one that is there".to_owned()
    } else if fault.is_passing() {
        format!(
            "see whether its service is up and reached from here, at workspace_endpoint if that is set; {MEANWHILE}"
        )
    } else {
        "see that the account in google_service_account, or the keys in aws_access_key_id and aws_secret_access_key, may read, write and list there".to_owned()
    };
    Finding::broken(Check::Workspaces, crate::chain(fault), way_out)
}

/// What the queue says, where the store can be asked.
fn standing(store: &str, groups: usize, owed: &[OwedRelease], presence: Presence) -> Finding {
    let left = owed.len();
    let since = owed.first().map(|oldest| oldest.owed_since);
    let since = since.map_or_else(String::new, |at| format!(" since {at}"));
    let warning =
        |cause: String, way_out: &str| Finding::warning(Check::Workspaces, cause, way_out);
    match (Keeping::of(owed), presence) {
        (Keeping::Failing, Presence::Running | Presence::Unknown) => warning(
            format!("{left} not in step with {store}{since}{}", trouble(owed)),
            "it is tried again by itself, the store answers now; if that lasts, see logs/nanokimi.log",
        ),
        (Keeping::Failing | Keeping::Pending, Presence::Absent) => warning(
            format!("{left} not in step with {store}{since}{}", trouble(owed)),
            "start nanokimi, which releases and restores them; what is not released no other machine knows",
        ),
        (Keeping::Pending, Presence::Running | Presence::Unknown) | (Keeping::Kept, _) => {
            let found = format!(
                "{store} answers and holds {groups} of them; {left} wait for their release"
            );
            Finding::ok(Check::Workspaces, found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn owed(attempts: u32, problem: Option<&str>) -> OwedRelease {
        OwedRelease {
            group: "ada".parse().unwrap(),
            owed_since: "2026-01-05T09:00:00Z".parse().unwrap(),
            attempts,
            retry_at: problem.map(|_| "2026-01-05T10:00:00Z".parse().unwrap()),
            problem: problem.map(str::to_owned),
        }
    }

    #[track_caller]
    fn check(owed: &[OwedRelease], presence: Presence, state: State, cause: &str) {
        let found = standing("`gs://attic`", 2, owed, presence);
        assert_eq!(found.state, state, "{found}");
        assert!(found.cause.contains(cause), "{found}");
    }

    #[test]
    fn what_waits_is_told_where_nobody_will_do_it_or_where_it_fails() {
        use Presence::{Absent, Running};
        check(&[], Absent, State::Ok, "holds 2 of them; 0 wait");
        check(&[owed(0, None)], Running, State::Ok, "1 wait");
        let since = "1 not in step with `gs://attic` since 2026-01-05T09:00:00Z";
        check(&[owed(0, None)], Absent, State::Warning, since);
        let failing = [owed(0, None), owed(3, Some("the store is down"))];
        let why = "2026-01-05T09:00:00Z: the store is down; tried again at 2026-01-05T10:00:00Z";
        check(&failing, Running, State::Warning, why);
    }
}
