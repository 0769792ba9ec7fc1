//! Configuration values and secrets granted to the guest, under the three names of `wasi:config`.

use crate::interfaces::bindings::wasi;
use crate::interfaces::call::HostCall;
use crate::interfaces::guest::GuestState;

impl GuestState {
    /// A value of `config`, or a secret.
    fn setting(&self, key: &str) -> Option<String> {
        let grants = &self.service().config.grants;
        let secret = || grants.secrets.get(key).map(|secret| secret.reveal().to_owned());
        grants.config.get(key).cloned().or_else(secret)
    }

    /// Every value of `config`; secrets are read one by one and never listed.
    fn settings(&self) -> Vec<(String, String)> {
        self.service().config.grants.config.clone().into_iter().collect()
    }
}

macro_rules! config_store {
    ($($package:ident),*) => {$(
        impl wasi::$package::store::Host for GuestState {
            async fn get(
                &mut self,
                key: String,
            ) -> wasmtime::Result<Result<Option<String>, wasi::$package::store::Error>> {
                let found = self.setting(&key);
                self.this.note(HostCall::Setting(key));
                Ok(Ok(found))
            }

            async fn get_all(
                &mut self,
            ) -> wasmtime::Result<Result<Vec<(String, String)>, wasi::$package::store::Error>> {
                Ok(Ok(self.settings()))
            }
        }
    )*};
}

config_store!(config0_2_0_rc_1, config0_2_0_draft, config0_2_0_draft_2024_09_27);
