//! All objects of a kind, and what becomes of them.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::ends::{Ends, Scope};
use super::error::KubernetesError;
use super::read::{Read, key};
use super::resource::{FIRST, LAST, WATCH};
use super::{Report, Resource, Told};
use crate::attribution::cluster::{CAPACITY, Change};
use crate::watch::backoff::Backoff;

/// A watch that is over sooner than this was none.
const SHORT: Duration = Duration::from_secs(1);
/// How long before all is listed anew.
const ANEW: Duration = Duration::from_secs(2);
/// Objects that are asked for at a time.
const PAGE: u32 = 500;

/// What an object comes to, and what is told of many.
pub(super) type Reader<T> = (Read<T>, fn(Change<T>) -> Told);

pub(super) struct Stream {
    pub(super) resource: Resource,
    pub(super) reports: mpsc::Sender<Report>,
    /// Fields that an object must have.
    pub(super) fields: Option<String>,
    /// Of slices, whose are followed.
    pub(super) ends: Option<Ends>,
}

/// Why there is nothing more to do.
enum End {
    /// Nobody wants reports any more.
    Unwanted,
    /// Others are to be followed.
    Others,
    Failed(KubernetesError),
}

impl From<KubernetesError> for End {
    fn from(error: KubernetesError) -> Self {
        Self::Failed(error)
    }
}

impl Stream {
    /// Lists, then watches, until nobody wants reports. Where the server knows no such version, the next is
    /// asked for.
    pub(super) async fn follow<T>(mut self, apis: Vec<Api<DynamicObject>>, reader: Reader<T>) {
        let mut backoff = Backoff::new(FIRST, LAST);
        let mut version = 0;
        // What was seen last; `None` where all is to be listed.
        let mut seen = None;
        while let Some(api) = apis.get(version) {
            let why = match self.session(api, reader, &mut seen, &mut backoff).await {
                End::Unwanted => return,
                End::Others => {
                    seen = None;
                    continue;
                }
                End::Failed(why) => why,
            };
            match why {
                KubernetesError::Unknown { .. } if version + 1 < apis.len() => {
                    (version, seen) = (version + 1, None);
                    continue;
                }
                KubernetesError::Unknown { .. } => (version, seen) = (0, None),
                KubernetesError::Expired => seen = None,
                _ => {}
            }
            // A list that is needed anew is no failure of the server's, and yet not all nodes' at one moment.
            let wait = match why {
                KubernetesError::Expired => Backoff::new(ANEW, LAST).next(false),
                // A server that has just started refuses what it will grant in a moment.
                _ => backoff.next(false),
            };
            tracing::debug!("{} are asked for again in {wait:?}: {why}", self.resource.name());
            if why != KubernetesError::Expired && !self.report(Err(why)).await {
                return;
            }
            sleep(wait).await;
        }
    }

    /// Lists and watches until something is wrong, or others are to be followed.
    async fn session<T>(
        &mut self,
        api: &Api<DynamicObject>,
        reader: Reader<T>,
        seen: &mut Option<String>,
        backoff: &mut Backoff,
    ) -> End {
        let mut ends = self.ends.take();
        let mut session = Session { stream: self, api, scope: Scope::Whole, reader };
        let end = match &mut ends {
            None => session.run(seen, backoff).await,
            Some(ends) => match ends.scope(api).await {
                Err(error) => session.failed(&error).into(),
                Ok(scope) => {
                    // A version is of what was listed.
                    *seen = seen.take().filter(|_| scope == Scope::Whole);
                    session.scope = scope.clone();
                    tokio::select! {
                        end = session.run(seen, backoff) => end,
                        () = ends.changed(&scope) => End::Others,
                    }
                }
            },
        };
        self.ends = ends;
        end
    }

    /// Whether somebody wants it.
    async fn report(&self, told: Result<Option<Told>, KubernetesError>) -> bool {
        self.reports.send(Report { resource: self.resource, told }).await.is_ok()
    }
}

struct Session<'a, T> {
    stream: &'a Stream,
    api: &'a Api<DynamicObject>,
    scope: Scope,
    reader: Reader<T>,
}

impl<T> Session<'_, T> {
    async fn run(&self, seen: &mut Option<String>, backoff: &mut Backoff) -> End {
        if self.scope == Scope::Nothing {
            return match self.tell(Some(Change::All(Vec::new()))).await {
                Ok(()) => std::future::pending().await,
                Err(end) => end,
            };
        }
        loop {
            if let Err(end) = self.once(seen, backoff).await {
                return end;
            }
        }
    }

    /// One list where it is needed, and one watch until the server ends it.
    async fn once(&self, seen: &mut Option<String>, backoff: &mut Backoff) -> Result<(), End> {
        let from = match seen {
            Some(version) => version,
            None => seen.insert(self.list().await?),
        };
        let params = WatchParams {
            field_selector: self.stream.fields.clone(),
            label_selector: self.scope.labels().map(str::to_owned),
            ..Default::default()
        };
        let opened = Instant::now();
        let events = self.api.watch(&params.timeout(WATCH), from).await;
        let mut events = pin!(events.map_err(|error| self.failed(&error))?);
        // The server lets it be watched: whatever was wrong is over.
        self.tell(None).await?;
        while let Some(event) = events.next().await {
            self.take(event.map_err(|error| self.failed(&error))?, from).await?;
            backoff.reset();
        }
        // One that ends what has only begun must not be asked again at once.
        if opened.elapsed() < SHORT {
            let message = "it ended a watch at once".to_owned();
            return Err(KubernetesError::Silent(message).into());
        }
        backoff.reset();
        Ok(())
    }

    /// All objects, page by page; the version that they are of.
    async fn list(&self) -> Result<String, End> {
        let mut params = ListParams::default().limit(PAGE).match_any();
        params.field_selector = self.stream.fields.clone();
        params.label_selector = self.scope.labels().map(str::to_owned);
        let mut all = Vec::new();
        loop {
            let page = self.api.list(&params).await.map_err(|error| self.failed(&error))?;
            // What finds no room is counted by whoever keeps the rest.
            let room = (2 * CAPACITY).saturating_sub(all.len());
            all.extend(page.items.iter().filter_map(self.reader.0).take(room));
            let version = page.metadata.resource_version.unwrap_or_default();
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => {
                    self.tell(Some(Change::All(all))).await?;
                    return Ok(version);
                }
            }
            // A page of a list is of the version that the list was begun at.
            (params.version_match, params.resource_version) = (None, None);
        }
    }

    async fn take(&self, event: WatchEvent<DynamicObject>, seen: &mut String) -> Result<(), End> {
        let read = self.reader.0;
        let (object, change) = match &event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                (object, read(object).map(|(key, found)| Change::Is(key, found)))
            }
            WatchEvent::Deleted(object) => (object, Some(Change::Gone(key(object)))),
            WatchEvent::Bookmark(mark) => {
                seen.clone_from(&mark.metadata.resource_version);
                return Ok(());
            }
            WatchEvent::Error(status) => {
                let name = self.stream.resource.name();
                return Err(KubernetesError::answered(name, status.code, &status.message).into());
            }
        };
        if let Some(version) = &object.metadata.resource_version {
            seen.clone_from(version);
        }
        // What cannot be read any more is not what was known of it.
        let change = change.unwrap_or_else(|| Change::Gone(key(object)));
        self.tell(Some(change)).await
    }

    async fn tell(&self, change: Option<Change<T>>) -> Result<(), End> {
        let told = Ok(change.map(self.reader.1));
        if self.stream.report(told).await { Ok(()) } else { Err(End::Unwanted) }
    }

    fn failed(&self, error: &kube::Error) -> KubernetesError {
        KubernetesError::of(self.stream.resource.name(), error)
    }
}
