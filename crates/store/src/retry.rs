//! Doing optimistic work again when somebody else was faster.

use crate::{EngramStore, ErrorKind, Result};

impl EngramStore {
    /// Does `work`, and again from the beginning while it ends in `Conflict`, at most `times` times in all (0 counts as 1).
    ///
    /// A conflict means that another commit came in between, so somebody always gets on and nobody needs to wait before
    /// trying again; with `n` writers of the same path each is refused at most `n - 1` times in a round. Everything that the
    /// work depends on must be read inside it: begin the transaction there.
    ///
    /// ```
    /// # use engrams_store::{EngramStore, Result};
    /// # fn add_one(_: &EngramStore) -> Result<u64> { Ok(1) }
    /// let store = EngramStore::in_memory();
    /// let version = store.retry(10, |store| {
    ///     // Begin a transaction, read, write, commit.
    ///     add_one(store)
    /// })?;
    /// # Ok::<(), engrams_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `work` returned last. When it is the last conflict, [`conflict`](crate::Error::conflict) has what was expected
    /// and what was found.
    pub fn retry<T>(&self, times: u32, mut work: impl FnMut(&Self) -> Result<T>) -> Result<T> {
        let mut tried = 1;
        loop {
            match work(self) {
                Err(error) if error.kind() == ErrorKind::Conflict && tried < times => tried += 1,
                Err(error) if error.kind() == ErrorKind::Conflict && tried > 1 => {
                    return Err(error.within(format_args!("given up after {tried} attempts")));
                }
                outcome => return outcome,
            }
        }
    }
}
