//! How a chat becomes a group: by an operator, by the main group's agent, or, for the HTTP
//! channel, by being talked to (whoever holds the token is the operator).

use agent_protocol::IpcTask;

use crate::events::Event;
use crate::house::House;
use crate::ids::{ChatJid, GroupFolder};
use crate::mounts::AskedMount;
use crate::store::{Group, NewGroup, StoreError, TriggerRule};
use crate::workspace::NotReady;

/// Registers a group and tells so.
pub(crate) async fn register(house: &House, new: NewGroup) -> Result<Group, StoreError> {
    let group = house.store.register_group(new, house.clock.now()).await?;
    house.events.tell(Event::GroupRegistered {
        chat: group.chat.clone(),
        folder: group.folder.clone(),
        main: group.is_main,
    });
    Ok(group)
}

/// The control channel every installation has from its first start.
pub(crate) async fn ensure_main(house: &House) -> Result<(), StoreError> {
    if house
        .store
        .group_of_folder(GroupFolder::main())
        .await?
        .is_some()
    {
        return Ok(());
    }
    let Ok(chat) = ChatJid::http("main") else {
        return Ok(());
    };
    let new = NewGroup {
        folder: GroupFolder::main(),
        chat,
        name: "main".to_owned(),
        trigger: TriggerRule::Always,
        is_main: true,
    };
    register(house, new).await.map(|_group| ())
}

/// Why an HTTP conversation has no group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGroup {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the workspace store may hold a group of this name, which is not here")]
    NotHere(#[from] NotReady),
}

/// The group of an HTTP conversation, registered if it is new.
pub(crate) async fn of_conversation(house: &House, chat: ChatJid) -> Result<Group, NoGroup> {
    if let Some(group) = house.store.group_of_chat(chat.clone()).await? {
        return Ok(group);
    }
    let name = chat.http_conversation().unwrap_or(chat.as_str()).to_owned();
    if let Ok(folder) = name.parse::<GroupFolder>() {
        // A group of the name that the store holds is registered as it is there.
        house.workspace.ready(&folder).await?;
        if let Some(group) = house.store.group_of_chat(chat.clone()).await? {
            return Ok(group);
        }
    }
    let folder = free_folder(house, &name).await?;
    let new = NewGroup {
        folder,
        chat: chat.clone(),
        name,
        trigger: TriggerRule::Always,
        is_main: false,
    };
    match register(house, new).await {
        // Two first messages at once: the other one was faster.
        Err(StoreError::GroupConflict(conflict)) => {
            let group = house.store.group_of_chat(chat).await?;
            Ok(group.ok_or(StoreError::GroupConflict(conflict))?)
        }
        registered => Ok(registered?),
    }
}

/// The name itself where it can be a folder and is free, else one made from it.
async fn free_folder(house: &House, name: &str) -> Result<GroupFolder, StoreError> {
    if let Ok(folder) = name.parse::<GroupFolder>()
        && !folder.is_main()
        && house.store.group_of_folder(folder.clone()).await?.is_none()
    {
        return Ok(folder);
    }
    let slug: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    loop {
        let folder = format!("http-{slug}-{:06x}", rand::random::<u32>() & 0xff_ffff);
        if let Ok(folder) = folder.parse::<GroupFolder>()
            && house.store.group_of_folder(folder.clone()).await?.is_none()
        {
            return Ok(folder);
        }
    }
}

/// Reads what the main group's agent asks to register, and what the group is to see of this
/// machine, if anything is said of that.
pub(crate) fn from_agent(task: IpcTask) -> Result<(NewGroup, Option<Vec<AskedMount>>), String> {
    let IpcTask::RegisterGroup {
        jid,
        name,
        folder,
        trigger,
        requires_trigger,
        container_config,
    } = task
    else {
        return Err("not a registration".to_owned());
    };
    let trigger = match (requires_trigger.unwrap_or(true), trigger.trim()) {
        (false, _) => TriggerRule::Always,
        (true, "") => TriggerRule::AssistantName,
        (true, word) => TriggerRule::Word(word.to_owned()),
    };
    let folder: GroupFolder = folder.parse().map_err(|error| crate::chain(&error))?;
    if folder.is_main() {
        return Err("the folder `main` is reserved for the main group".to_owned());
    }
    // One that speaks of other things leaves what is mounted as it is.
    let asked = container_config.and_then(|config| config.additional_mounts);
    let mounts = asked.map(|asked| AskedMount::all_from_agent(&asked));
    let mounts = mounts.transpose().map_err(|error| crate::chain(&error))?;
    let new = NewGroup {
        folder,
        chat: jid.parse().map_err(|error| crate::chain(&error))?,
        name,
        trigger,
        is_main: false,
    };
    Ok((new, mounts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of mounts by a registration with this containerConfig.
    fn mounts(config: &str) -> Result<Option<Vec<AskedMount>>, String> {
        let text = format!(
            r#"{{"type":"register_group","jid":"http:ada","name":"ada","folder":"ada","trigger":"","containerConfig":{config}}}"#
        );
        from_agent(serde_json::from_str(&text).unwrap()).map(|(_group, mounts)| mounts)
    }

    #[test]
    fn what_is_mounted_is_set_only_by_whoever_speaks_of_it() {
        assert_eq!(mounts(r#"{"timeout":5}"#).unwrap(), None);
        let none = mounts(r#"{"additionalMounts":[]}"#).unwrap();
        assert_eq!(none, Some(Vec::new()));
        let one = mounts(r#"{"additionalMounts":[{"hostPath":"/srv/a"}]}"#).unwrap();
        assert_eq!(one.unwrap().len(), 1);
    }

    #[test]
    fn two_mounts_of_one_name_are_malformed() {
        let config = r#"{"additionalMounts":[{"hostPath":"/srv/a"},{"hostPath":"/opt/x","containerPath":"a"}]}"#;
        let refused = mounts(config).unwrap_err();
        assert!(refused.contains("two mounts are called `a`"), "{refused}");
    }
}
