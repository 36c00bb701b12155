from seqfeat.autoencoder import LSTMAutoencoder
