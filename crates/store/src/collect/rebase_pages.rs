//! Re-basing of pages: one whose base nothing else needs is coded against the nearest page on its chain that stays, or
//! by itself.

use super::mark::Kind;
use super::{Collected, Collection};
use crate::backend::KeyRange;
use crate::format::{id_key, id_of_key};
use crate::page::base_of;
use crate::{Error, Result, Space, unless_corrupt};

/// Pages read at once.
const RUN: usize = 256;

impl Collection<'_> {
    /// Codes anew every marked page that leans on one which is not.
    pub(super) fn rebase_pages(&self, report: &mut Collected) -> Result<()> {
        let snapshot = self.store.backend.snapshot()?;
        let (mut from, to) = (Vec::new(), id_key(self.pages_below));
        loop {
            let range = KeyRange { from: &from, to: Some(&to), ..KeyRange::default() };
            let readable = snapshot.scan(Space::Page, range);
            let readable = readable.filter_map(|record| Kind::Page.unless_passed(record).transpose());
            let run: Vec<_> = readable.take(RUN).collect::<Result<_>>()?;
            let Some((last, _)) = run.last() else { return Ok(()) };
            from = [last.as_slice(), &[0]].concat();
            for (key, record) in run {
                let id = id_of_key(Space::Page, &key)?;
                if !self.marks.pages.contains(id) {
                    continue;
                }
                let Some(base) = base_of(id, &record)?.filter(|&base| !self.marks.pages.contains(base))
                else {
                    continue;
                };
                if unless_corrupt(self.recode_page(id, base))?.is_some() {
                    report.rebased += 1;
                }
            }
        }
    }

    fn recode_page(&self, id: u64, base: u64) -> Result<()> {
        let mut ancestor = Some(base);
        while let Some(page) = ancestor.filter(|&page| !self.marks.pages.contains(page)) {
            let record = self.store.backend.get(Space::Page, &id_key(page))?;
            let record = record.ok_or_else(|| Error::corrupt(format!("page {page} is missing")))?;
            ancestor = base_of(page, &record)?;
        }
        let plain = self.store.pages.get(id)?;
        self.store.pages.recode(id, &plain, ancestor)
    }
}
