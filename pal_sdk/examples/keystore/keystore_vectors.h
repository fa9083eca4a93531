/* SPDX-License-Identifier: MIT */
/* Published test vectors for keystore.c, in hexadecimal. */
#ifndef KEYSTORE_VECTORS_H
#define KEYSTORE_VECTORS_H

struct sign_vector { const char *name, *secret, *public_key, *message, *signature; };
struct agree_vector { const char *name, *secret, *public_key, *peer, *shared; };
struct mac_vector { const char *name, *secret, *message, *code; };
struct gcm_vector { const char *name, *secret, *plain, *associated, *nonce, *cipher, *tag; };

/* RFC 8032, 7.1; in the last the message is SHA-512 of "abc". */
static const struct sign_vector ed25519_vectors[] = {
    { "RFC 8032 test 1",
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a3"
      "3bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
    { "RFC 8032 test 2",
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15"
      "996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
    { "RFC 8032 test 3",
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16"
      "f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
    { "RFC 8032 test SHA(abc)",
      "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
      "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274f"
      "c1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90"
      "b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
};

/* RFC 6979, A.2.5, SHA-256: messages "sample" and "test". */
static const struct sign_vector p256_vectors[] = {
    { "RFC 6979 P-256, sample",
      "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
      "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008"
      "b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
      "73616d706c65",
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d65"
      "7c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8" },
    { "RFC 6979 P-256, test",
      "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
      "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008"
      "b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
      "74657374",
      "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a"
      "2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083" },
};

/* RFC 7748, 5.2 (whose scalars are keys) and 6.1, both sides. */
static const struct agree_vector x25519_vectors[] = {
    { "RFC 7748 5.2, first",
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "1c9fd88f45606d932a80c71824ae151d15d73e77de38e8e000852e614fae7019",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
    { "RFC 7748 5.2, second",
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "ff63fe57bfbf43fa3f563628b149af704d3db625369c49983650347a6a71e00e",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
    { "RFC 7748 6.1, Alice",
      "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
    { "RFC 7748 6.1, Bob",
      "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
};

/* RFC 5903, 8.1, both sides. */
static const struct agree_vector ecdh_vectors[] = {
    { "RFC 5903 8.1, initiator",
      "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
      "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461c"
      "db8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
      "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca36"
      "6cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
      "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de" },
    { "RFC 5903 8.1, responder",
      "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
      "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca36"
      "6cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
      "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461c"
      "db8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
      "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de" },
};

/* RFC 4231, 4.2 to 4.5, 4.7 and 4.8. */
static const struct mac_vector hmac_vectors[] = {
    { "RFC 4231 case 1",
      "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
      "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "RFC 4231 case 2",
      "4a656665",
      "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "RFC 4231 case 3",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      "dddddddddddddddddddddddd",
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { "RFC 4231 case 4",
      "0102030405060708090a0b0c0d0e0f10111213141516171819",
      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
      "cdcdcdcdcdcdcdcdcdcdcdcd",
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    { "RFC 4231 case 6",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920"
      "2d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { "RFC 4231 case 7",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f"
      "636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d7369"
      "7a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265"
      "666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
};

/* McGrew and Viega, The Galois/Counter Mode of Operation, appendix B: those with nonces of
 * 96 bits. */
static const struct gcm_vector gcm_vectors[] = {
    { "GCM test case 1",
      "00000000000000000000000000000000",
      "",
      "",
      "000000000000000000000000",
      "",
      "58e2fccefa7e3061367f1d57a4e7455a" },
    { "GCM test case 2",
      "00000000000000000000000000000000",
      "00000000000000000000000000000000",
      "",
      "000000000000000000000000",
      "0388dace60b6a392f328c2b971b2fe78",
      "ab6e47d42cec13bdf53a67b21257bddf" },
    { "GCM test case 3",
      "feffe9928665731c6d6a8f9467308308",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
      "",
      "cafebabefacedbaddecaf888",
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466"
      "931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
      "4d5c2af327cd64a62cf35abd2ba6fab4" },
    { "GCM test case 4",
      "feffe9928665731c6d6a8f9467308308",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "cafebabefacedbaddecaf888",
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466"
      "931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
      "5bc94fbc3221a5db94fae95ae7121a47" },
    { "GCM test case 7",
      "000000000000000000000000000000000000000000000000",
      "",
      "",
      "000000000000000000000000",
      "",
      "cd33b28ac773f74ba00ed1f312572435" },
    { "GCM test case 8",
      "000000000000000000000000000000000000000000000000",
      "00000000000000000000000000000000",
      "",
      "000000000000000000000000",
      "98e7247c07f0fe411c267e4384b0f600",
      "2ff58d80033927ab8ef4d4587514f0fb" },
    { "GCM test case 9",
      "feffe9928665731c6d6a8f9467308308feffe9928665731c",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
      "",
      "cafebabefacedbaddecaf888",
      "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144"
      "c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256",
      "9924a7c8587336bfb118024db8674a14" },
    { "GCM test case 10",
      "feffe9928665731c6d6a8f9467308308feffe9928665731c",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "cafebabefacedbaddecaf888",
      "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144"
      "c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
      "2519498e80f1478f37ba55bd6d27618c" },
    { "GCM test case 13",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "",
      "",
      "000000000000000000000000",
      "",
      "530f8afbc74536b9a963b4f1c4cb738b" },
    { "GCM test case 14",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "00000000000000000000000000000000",
      "",
      "000000000000000000000000",
      "cea7403d4d606b6e074ec5d3baf39d18",
      "d0d1c8a799996bf0265b98b5d48ab919" },
    { "GCM test case 15",
      "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
      "",
      "cafebabefacedbaddecaf888",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590d"
      "bb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
      "b094dac5d93471bdec1a502270e3cc6c" },
    { "GCM test case 16",
      "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568"
      "09532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "cafebabefacedbaddecaf888",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590d"
      "bb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
      "76fc6ece0f4e1768cddf8853bb2d551b" },
};

#endif
