//! What must hold of the wrapper and of the key record by themselves.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::MemoryBackend;

fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes([byte; 32])
}

fn cheap() -> PassphraseCost {
    PassphraseCost { memory_kib: 8, passes: 1 }
}

fn encrypted() -> (EncryptedBackend, Arc<MemoryBackend>) {
    let memory = Arc::new(MemoryBackend::new());
    let inner: Arc<dyn Backend> = Arc::<MemoryBackend>::clone(&memory);
    let (_, secrets) = KeyRecord::create(&key(1)).unwrap();
    (EncryptedBackend::new(inner, secrets), memory)
}

#[test]
fn an_encrypted_backend_keeps_the_contract() {
    crate::conformance::check(|| Box::new(encrypted().0));
}

#[test]
fn an_equal_value_is_never_sealed_twice_alike() {
    let (backend, memory) = encrypted();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let mut batch = Batch::new();
        for key in 0..20_u8 {
            batch.put(Space::Head, [key], *b"the same");
        }
        backend.write(batch, Durability::Staged).unwrap();
        for (_, value) in memory.contents(Space::Head).unwrap() {
            assert_eq!(value.len(), 8 + 40);
            assert!(seen.insert(value[24..].to_vec()), "a nonce came again");
            assert!(seen.insert(value[..8].to_vec()), "a ciphertext came again");
        }
    }
}

#[test]
fn a_value_moved_or_changed_reads_as_empty_and_fulfils_no_precondition() {
    let (backend, memory) = encrypted();
    let mut batch = Batch::new();
    batch.put(Space::Head, *b"a", *b"one").put(Space::Head, *b"b", *b"");
    backend.write(batch, Durability::Staged).unwrap();
    let sealed = memory.get(Space::Head, b"a").unwrap().unwrap();
    let empty = memory.get(Space::Head, b"b").unwrap().unwrap();
    let forge = |space, at: &[u8], value: Vec<u8>| {
        let mut batch = Batch::new();
        batch.put(space, at, value);
        memory.write(batch, Durability::Staged).unwrap();
    };
    let places: [(Space, &[u8], Vec<u8>); 5] = [
        (Space::Head, b"b", sealed.clone()),
        (Space::Page, b"a", sealed.clone()),
        (Space::Head, b"c", empty),
        (Space::Head, b"d", sealed[..39].to_vec()),
        (Space::Head, b"e", b"not sealed at all, and longer than forty bytes".to_vec()),
    ];
    for (space, at, value) in places {
        forge(space, at, value);
        assert_eq!(backend.get(space, at).unwrap().unwrap(), b"");
        let mut batch = Batch::new();
        batch.expect(space, at, Some(Vec::new())).put(Space::Meta, *b"x", *b"y");
        assert_eq!(backend.write(batch, Durability::Staged).unwrap_err().kind(), ErrorKind::Conflict);
    }
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 0x10;
        forge(Space::Head, b"a", bad);
        assert_eq!(backend.get(Space::Head, b"a").unwrap().unwrap(), b"");
    }
}

#[test]
fn a_locked_master_key_comes_back_only_by_its_own_key() {
    let passphrase = |text: &str| StoreKey::passphrase_at(text, cheap()).unwrap();
    for (good, bad) in [(key(1), key(2)), (passphrase("right"), passphrase("wrong"))] {
        let (record, secrets) = KeyRecord::create(&good).unwrap();
        let record = KeyRecord::decode(&record.encode()).unwrap();
        assert_eq!(record.unlock(&good).unwrap().master(), secrets.master());
        let refused = record.unlock(&bad).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        assert!(refused.to_string().ends_with("is not the one of this store"), "{refused}");
    }
    let (record, _) = KeyRecord::create(&key(1)).unwrap();
    assert!(record.unlock(&passphrase("x")).err().unwrap().to_string().contains("not with a passphrase"));
    let (record, _) = KeyRecord::create(&passphrase("x")).unwrap();
    assert!(record.unlock(&key(1)).err().unwrap().to_string().contains("not with a key file"));
}

#[test]
fn a_cost_beyond_the_limits_is_neither_set_nor_believed() {
    for (memory_kib, passes) in [(7, 1), (u32::MAX, 1), ((256 << 10) + 1, 1), (8, 0), (8, 17), (8, u32::MAX)]
    {
        let cost = PassphraseCost { memory_kib, passes };
        assert_eq!(StoreKey::passphrase_at("x", cost).unwrap_err().kind(), ErrorKind::Invalid);
        let mut record = b"engrams\x1a\x01\x01".to_vec();
        crate::format::put_varint(&mut record, memory_kib.into());
        crate::format::put_varint(&mut record, passes.into());
        record.extend_from_slice(&[0; 32 + 24 + 32 + 16]);
        let record = crate::format::seal(Space::Meta, KeyRecord::KEY, record);
        assert_eq!(KeyRecord::decode(&record).err().unwrap().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_newer_encryption_is_refused_as_such() {
    let record = crate::format::seal(Space::Meta, KeyRecord::KEY, b"engrams\x1a\x02anything".to_vec());
    assert_eq!(KeyRecord::decode(&record).err().unwrap().kind(), ErrorKind::Unsupported);
}

#[test]
fn keys_are_read_from_hexadecimal_digits_only() {
    let digits = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
    StoreKey::parse(&format!(" {digits}\n")).unwrap();
    for wrong in
        ["", "secret", &digits[..62], &format!("{digits}0"), &digits.replace('a', "g"), &"é".repeat(32)]
    {
        let error = StoreKey::parse(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(wrong.is_empty() || !error.to_string().contains(wrong), "{error}");
    }
}

#[test]
fn a_key_file_is_made_once_for_its_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key");
    let made = StoreKey::create_file(&path).unwrap();
    let read = StoreKey::from_file(&path).unwrap();
    let (record, _) = KeyRecord::create(&made).unwrap();
    record.unlock(&read).unwrap();
    assert_eq!(StoreKey::create_file(&path).unwrap_err().kind(), ErrorKind::Io);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_key_says_nothing_of_itself_when_printed() {
    assert_eq!(format!("{:?}", key(7)), "StoreKey(random)");
    assert_eq!(format!("{:?}", StoreKey::passphrase("hunter2").unwrap()), "StoreKey(passphrase)");
}

/// XChaCha20-Poly1305 of draft-irtf-cfrg-xchacha-03, appendix A.3.1: that the crate computes what the format says.
#[test]
fn the_cipher_is_the_one_of_the_draft() {
    use chacha20poly1305::aead::KeyInit;
    use chacha20poly1305::{AeadInOut, XChaCha20Poly1305, XNonce};
    let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
    let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + i as u8);
    let associated = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
    let mut text =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                     sunscreen would be it."
            .to_vec();
    let tag = XChaCha20Poly1305::new(&key.into())
        .encrypt_inout_detached(&XNonce::from(nonce), &associated, text.as_mut_slice().into())
        .unwrap();
    assert_eq!(text[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
    let expected =
        [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49];
    assert_eq!(tag[..], expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_no_key_record_or_a_whole_one(bytes: Vec<u8>) {
        prop_assert!(KeyRecord::decode(&bytes).is_err());
        let sealed = crate::format::seal(Space::Meta, KeyRecord::KEY, bytes);
        if let Ok(record) = KeyRecord::decode(&sealed) {
            prop_assert_eq!(record.encode(), sealed);
        }
    }

    #[test]
    fn a_changed_key_record_is_refused(at: proptest::sample::Index, flip in 1_u8.., forged: bool, words: bool) {
        let key = if words { StoreKey::passphrase_at("x", cheap()).unwrap() } else { key(3) };
        let good = KeyRecord::create(&key).unwrap().0.encode();
        let mut bad = good.clone();
        if forged {
            // With a check that fits: only the lock can tell.
            bad.truncate(good.len() - 4);
            let at = at.index(bad.len());
            bad[at] ^= flip;
            bad = crate::format::seal(Space::Meta, KeyRecord::KEY, bad);
        } else {
            let at = at.index(bad.len());
            bad[at] ^= flip;
            prop_assert_eq!(KeyRecord::decode(&bad).err().unwrap().kind(), ErrorKind::Corrupt);
        }
        // A forged cost may be one that takes seconds, within its limits; that is not tried here.
        if let Ok(record) = KeyRecord::decode(&bad)
            && record.encode()[..12] == good[..12]
        {
            prop_assert_eq!(record.unlock(&key).err().unwrap().kind(), ErrorKind::Denied);
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place(value: Vec<u8>, key: Vec<u8>) {
        let (backend, _) = encrypted();
        let mut batch = Batch::new();
        batch.put(Space::Payload, key.clone(), value.clone());
        backend.write(batch, Durability::Staged).unwrap();
        prop_assert_eq!(backend.get(Space::Payload, &key).unwrap(), Some(value));
    }
}
