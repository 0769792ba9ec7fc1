//! Guest buckets -> `backends::key_value`, under both drafts of `wasi:keyvalue`.

use wasmtime::component::Resource;

use crate::backends::key_value::{KeyValue, KeyValueError};
use crate::interfaces::bindings::wasi::{keyvalue0_2_0_draft as draft, keyvalue0_2_0_draft2 as draft2};
use crate::interfaces::call::HostCall;
use crate::interfaces::guest::GuestState;

/// Keys of one page of `list-keys`.
const KEYS_PER_PAGE: usize = 1_000;

/// A bucket that a guest holds.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: String,
    store: KeyValue,
}

/// A compare-and-swap handle that a guest holds: the state of the key that it saw.
#[derive(Debug)]
pub struct Cas {
    bucket: Bucket,
    key: String,
    seen: Option<(Vec<u8>, u64)>,
}

/// Why a bucket cannot be opened.
enum Refused {
    NotGranted,
}

impl GuestState {
    fn open_bucket(&mut self, name: String) -> Result<Bucket, Refused> {
        let service = self.service();
        // A version that is tried out changes nothing.
        if self.this.call().is_none_or(|call| call.rehearsal) {
            return Err(Refused::NotGranted);
        }
        match &service.buckets {
            Some(store) if service.config.grants.buckets.contains(&name) => {
                Ok(Bucket { name, store: store.clone() })
            }
            _ => {
                let service = &service.config.name;
                let message = format!(
                    "the bucket {name:?} was refused: [services.{service}] would need buckets = [{name:?}]"
                );
                self.this.denied("buckets", &message);
                Err(Refused::NotGranted)
            }
        }
    }

    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        self.this.note(HostCall::KeyValue);
        Ok(self.table.get(bucket)?.clone())
    }
}

impl Bucket {
    async fn cas(self, key: String) -> Result<Cas, KeyValueError> {
        let seen = self.store.get_versioned(&self.name, &key).await?;
        Ok(Cas { bucket: self, key, seen })
    }
}

macro_rules! store {
    ($draft:ident, $cursor:ty, $page:expr, $pair:ty, $to_pair:expr) => {
        impl $draft::store::Host for GuestState {
            async fn open(
                &mut self,
                identifier: String,
            ) -> wasmtime::Result<Result<Resource<Bucket>, $draft::store::Error>> {
                match self.open_bucket(identifier) {
                    Ok(bucket) => Ok(Ok(self.table.push(bucket)?)),
                    Err(Refused::NotGranted) => Ok(Err($draft::store::Error::AccessDenied)),
                }
            }
        }

        impl $draft::store::HostBucket for GuestState {
            async fn get(
                &mut self,
                this: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<Option<Vec<u8>>, $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&this)?;
                Ok(store.get(&name, &key).await.map_err(Into::into))
            }

            async fn set(
                &mut self,
                this: Resource<Bucket>,
                key: String,
                value: Vec<u8>,
            ) -> wasmtime::Result<Result<(), $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&this)?;
                Ok(store.set(&name, &key, value).await.map_err(Into::into))
            }

            async fn delete(
                &mut self,
                this: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<(), $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&this)?;
                Ok(store.delete(&name, &key).await.map_err(Into::into))
            }

            async fn exists(
                &mut self,
                this: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<bool, $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&this)?;
                Ok(store.exists(&name, &key).await.map_err(Into::into))
            }

            async fn list_keys(
                &mut self,
                this: Resource<Bucket>,
                cursor: Option<$cursor>,
            ) -> wasmtime::Result<Result<$draft::store::KeyResponse, $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&this)?;
                let page = $page(&store, &name, cursor).await;
                Ok(page.map(|(keys, cursor)| $draft::store::KeyResponse { keys, cursor }).map_err(Into::into))
            }

            async fn drop(&mut self, this: Resource<Bucket>) -> wasmtime::Result<()> {
                self.table.delete(this)?;
                Ok(())
            }
        }

        impl $draft::batch::Host for GuestState {
            async fn get_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<Vec<$pair>, $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&bucket)?;
                let values = store.get_many(&name, keys).await;
                Ok(values.map(|values| values.into_iter().map($to_pair).collect()).map_err(Into::into))
            }

            async fn set_many(
                &mut self,
                bucket: Resource<Bucket>,
                key_values: Vec<(String, Vec<u8>)>,
            ) -> wasmtime::Result<Result<(), $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&bucket)?;
                Ok(store.set_many(&name, key_values).await.map_err(Into::into))
            }

            async fn delete_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<(), $draft::store::Error>> {
                let Bucket { name, store } = self.bucket(&bucket)?;
                Ok(store.delete_many(&name, keys).await.map_err(Into::into))
            }
        }

        impl From<KeyValueError> for $draft::store::Error {
            fn from(error: KeyValueError) -> Self {
                Self::Other(error.to_string())
            }
        }
    };
}

/// A key and its value, which may be missing, as the store answers them.
type Found = (String, Option<Vec<u8>>);

store!(draft, u64, page_by_number, Option<(String, Vec<u8>)>, |(key, value): Found| Some((key, value?)));
store!(draft2, String, page_by_key, Found, std::convert::identity);

/// The second draft's cursor is the last key of the page before.
async fn page_by_key(
    store: &KeyValue,
    bucket: &str,
    after: Option<String>,
) -> Result<(Vec<String>, Option<String>), KeyValueError> {
    store.list_keys(bucket, after, KEYS_PER_PAGE).await
}

/// The first draft's cursor is a number: how many keys stand before the page.
async fn page_by_number(
    store: &KeyValue,
    bucket: &str,
    before: Option<u64>,
) -> Result<(Vec<String>, Option<u64>), KeyValueError> {
    let (mut skipped, mut after) = (0, None);
    let before = before.unwrap_or(0);
    while skipped < before {
        let most = usize::try_from(before - skipped).unwrap_or(KEYS_PER_PAGE).min(KEYS_PER_PAGE);
        let (keys, next) = store.list_keys(bucket, after, most).await?;
        skipped += keys.len() as u64;
        if next.is_none() {
            return Ok((Vec::new(), None));
        }
        after = next;
    }
    let (keys, next) = store.list_keys(bucket, after, KEYS_PER_PAGE).await?;
    let cursor = next.map(|_| before + keys.len() as u64);
    Ok((keys, cursor))
}

impl draft::atomics::Host for GuestState {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, draft::store::Error>> {
        let Bucket { name, store } = self.bucket(&bucket)?;
        let Ok(delta) = i64::try_from(delta) else {
            return Ok(Err(draft::store::Error::Other("the sum is larger than a number can be".into())));
        };
        let sum = store.increment(&name, &key, delta).await.map_err(draft::store::Error::from);
        Ok(sum.and_then(|sum| {
            u64::try_from(sum).map_err(|_| draft::store::Error::Other("the sum is negative".into()))
        }))
    }
}

impl draft2::atomics::Host for GuestState {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, draft2::store::Error>> {
        let Bucket { name, store } = self.bucket(&bucket)?;
        Ok(store.increment(&name, &key, delta).await.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), draft2::atomics::CasError>> {
        let Cas { bucket, key, seen } = self.table.delete(cas)?;
        let expected = seen.map(|(_, version)| version);
        let swapped = bucket.store.compare_and_set(&bucket.name, &key, expected, value).await;
        match swapped {
            Ok(true) => Ok(Ok(())),
            Ok(false) => match bucket.cas(key).await {
                Ok(fresh) => Ok(Err(draft2::atomics::CasError::CasFailed(self.table.push(fresh)?))),
                Err(error) => Ok(Err(draft2::atomics::CasError::StoreError(error.into()))),
            },
            Err(error) => Ok(Err(draft2::atomics::CasError::StoreError(error.into()))),
        }
    }
}

impl draft2::atomics::HostCas for GuestState {
    async fn new(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<Cas>, draft2::store::Error>> {
        match self.bucket(&bucket)?.cas(key).await {
            Ok(cas) => Ok(Ok(self.table.push(cas)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn current(
        &mut self,
        this: Resource<Cas>,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, draft2::store::Error>> {
        Ok(Ok(self.table.get(&this)?.seen.as_ref().map(|(value, _)| value.clone())))
    }

    async fn drop(&mut self, this: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
