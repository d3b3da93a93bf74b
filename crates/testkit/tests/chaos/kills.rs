pub(crate) fn random() {}
