"""Layers, under the names that Keras gives them."""

# base
from torchkeras.layers.base.input_spec import InputSpec as InputSpec
from torchkeras.layers.base.layer import Layer as Layer

# core
from torchkeras.layers.core.dense import Dense as Dense
from torchkeras.layers.core.einsum_dense import EinsumDense as EinsumDense
from torchkeras.layers.core.embedding import Embedding as Embedding
from torchkeras.layers.core.identity import Identity as Identity
from torchkeras.layers.core.input_layer import Input as Input
from torchkeras.layers.core.input_layer import InputLayer as InputLayer
from torchkeras.layers.core.lambda_layer import Lambda as Lambda
from torchkeras.layers.core.reversible_embedding import ReversibleEmbedding as ReversibleEmbedding
from torchkeras.layers.core.masking import Masking as Masking
from torchkeras.layers.core.ternary_dense import TernaryDense as TernaryDense
from torchkeras.layers.core.wrapper import Wrapper as Wrapper
from torchkeras.layers.core.torch_module import TorchModuleWrapper as TorchModuleWrapper
from torchkeras.layers.core import torch_call as _torch_call  # torch modules called on symbolic tensors

# activation
from torchkeras.layers.activation.activation import ELU as ELU
from torchkeras.layers.activation.activation import Activation as Activation
from torchkeras.layers.activation.activation import LeakyReLU as LeakyReLU
from torchkeras.layers.activation.activation import PReLU as PReLU
from torchkeras.layers.activation.activation import ReLU as ReLU
from torchkeras.layers.activation.activation import Softmax as Softmax

# convolutional
from torchkeras.layers.convolutional.conv import Conv1D as Conv1D
from torchkeras.layers.convolutional.conv import Convolution1D as Convolution1D
from torchkeras.layers.convolutional.conv import Conv2D as Conv2D
from torchkeras.layers.convolutional.conv import Convolution2D as Convolution2D
from torchkeras.layers.convolutional.conv import Conv3D as Conv3D
from torchkeras.layers.convolutional.conv import Convolution3D as Convolution3D
from torchkeras.layers.convolutional.conv_transpose import Conv1DTranspose as Conv1DTranspose
from torchkeras.layers.convolutional.conv_transpose import Convolution1DTranspose as Convolution1DTranspose
from torchkeras.layers.convolutional.conv_transpose import Conv2DTranspose as Conv2DTranspose
from torchkeras.layers.convolutional.conv_transpose import Convolution2DTranspose as Convolution2DTranspose
from torchkeras.layers.convolutional.conv_transpose import Conv3DTranspose as Conv3DTranspose
from torchkeras.layers.convolutional.conv_transpose import Convolution3DTranspose as Convolution3DTranspose
from torchkeras.layers.convolutional.depthwise import DepthwiseConv1D as DepthwiseConv1D
from torchkeras.layers.convolutional.depthwise import DepthwiseConv2D as DepthwiseConv2D
from torchkeras.layers.convolutional.depthwise import SeparableConv1D as SeparableConv1D
from torchkeras.layers.convolutional.depthwise import SeparableConvolution1D as SeparableConvolution1D
from torchkeras.layers.convolutional.depthwise import SeparableConv2D as SeparableConv2D
from torchkeras.layers.convolutional.depthwise import SeparableConvolution2D as SeparableConvolution2D

# pooling
from torchkeras.layers.pooling.adaptive import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from torchkeras.layers.pooling.adaptive import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from torchkeras.layers.pooling.adaptive import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from torchkeras.layers.pooling.adaptive import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from torchkeras.layers.pooling.adaptive import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from torchkeras.layers.pooling.adaptive import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from torchkeras.layers.pooling.global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from torchkeras.layers.pooling.global_pooling import GlobalAvgPool1D as GlobalAvgPool1D
from torchkeras.layers.pooling.global_pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from torchkeras.layers.pooling.global_pooling import GlobalAvgPool2D as GlobalAvgPool2D
from torchkeras.layers.pooling.global_pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from torchkeras.layers.pooling.global_pooling import GlobalAvgPool3D as GlobalAvgPool3D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPool1D as GlobalMaxPool1D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPool2D as GlobalMaxPool2D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from torchkeras.layers.pooling.global_pooling import GlobalMaxPool3D as GlobalMaxPool3D
from torchkeras.layers.pooling.pooling import AveragePooling1D as AveragePooling1D
from torchkeras.layers.pooling.pooling import AvgPool1D as AvgPool1D
from torchkeras.layers.pooling.pooling import AveragePooling2D as AveragePooling2D
from torchkeras.layers.pooling.pooling import AvgPool2D as AvgPool2D
from torchkeras.layers.pooling.pooling import AveragePooling3D as AveragePooling3D
from torchkeras.layers.pooling.pooling import AvgPool3D as AvgPool3D
from torchkeras.layers.pooling.pooling import MaxPooling1D as MaxPooling1D
from torchkeras.layers.pooling.pooling import MaxPool1D as MaxPool1D
from torchkeras.layers.pooling.pooling import MaxPooling2D as MaxPooling2D
from torchkeras.layers.pooling.pooling import MaxPool2D as MaxPool2D
from torchkeras.layers.pooling.pooling import MaxPooling3D as MaxPooling3D
from torchkeras.layers.pooling.pooling import MaxPool3D as MaxPool3D

# normalization
from torchkeras.layers.normalization.batch_normalization import BatchNormalization as BatchNormalization
from torchkeras.layers.normalization.group_normalization import GroupNormalization as GroupNormalization
from torchkeras.layers.normalization.layer_normalization import LayerNormalization as LayerNormalization
from torchkeras.layers.normalization.layer_normalization import RMSNormalization as RMSNormalization
from torchkeras.layers.normalization.layer_normalization import UnitNormalization as UnitNormalization
from torchkeras.layers.normalization.spectral_normalization import SpectralNormalization as SpectralNormalization

# merging
from torchkeras.layers.merging.concatenate import Concatenate as Concatenate
from torchkeras.layers.merging.concatenate import concatenate as concatenate
from torchkeras.layers.merging.dot import Dot as Dot
from torchkeras.layers.merging.dot import dot as dot
from torchkeras.layers.merging.elementwise import Add as Add
from torchkeras.layers.merging.elementwise import Average as Average
from torchkeras.layers.merging.elementwise import Maximum as Maximum
from torchkeras.layers.merging.elementwise import Minimum as Minimum
from torchkeras.layers.merging.elementwise import Multiply as Multiply
from torchkeras.layers.merging.elementwise import Subtract as Subtract
from torchkeras.layers.merging.elementwise import add as add
from torchkeras.layers.merging.elementwise import average as average
from torchkeras.layers.merging.elementwise import maximum as maximum
from torchkeras.layers.merging.elementwise import minimum as minimum
from torchkeras.layers.merging.elementwise import multiply as multiply
from torchkeras.layers.merging.elementwise import subtract as subtract

# reshaping
from torchkeras.layers.reshaping.borders import Cropping1D as Cropping1D
from torchkeras.layers.reshaping.borders import Cropping2D as Cropping2D
from torchkeras.layers.reshaping.borders import Cropping3D as Cropping3D
from torchkeras.layers.reshaping.borders import ZeroPadding1D as ZeroPadding1D
from torchkeras.layers.reshaping.borders import ZeroPadding2D as ZeroPadding2D
from torchkeras.layers.reshaping.borders import ZeroPadding3D as ZeroPadding3D
from torchkeras.layers.reshaping.reshape import Flatten as Flatten
from torchkeras.layers.reshaping.reshape import Permute as Permute
from torchkeras.layers.reshaping.reshape import RepeatVector as RepeatVector
from torchkeras.layers.reshaping.reshape import Reshape as Reshape
from torchkeras.layers.reshaping.up_sampling import UpSampling1D as UpSampling1D
from torchkeras.layers.reshaping.up_sampling import UpSampling2D as UpSampling2D
from torchkeras.layers.reshaping.up_sampling import UpSampling3D as UpSampling3D

# regularization
from torchkeras.layers.regularization.activity_regularization import ActivityRegularization as ActivityRegularization
from torchkeras.layers.regularization.dropout import Dropout as Dropout
from torchkeras.layers.regularization.dropout import SpatialDropout1D as SpatialDropout1D
from torchkeras.layers.regularization.dropout import SpatialDropout2D as SpatialDropout2D
from torchkeras.layers.regularization.dropout import SpatialDropout3D as SpatialDropout3D
from torchkeras.layers.regularization.noise import AlphaDropout as AlphaDropout
from torchkeras.layers.regularization.noise import GaussianDropout as GaussianDropout
from torchkeras.layers.regularization.noise import GaussianNoise as GaussianNoise

# preprocessing
from torchkeras.layers.preprocessing.numerical.category_encoding import CategoryEncoding as CategoryEncoding
from torchkeras.layers.preprocessing.numerical.discretization import Discretization as Discretization
from torchkeras.layers.preprocessing.numerical.normalization import Normalization as Normalization
from torchkeras.layers.preprocessing.audio.mel_spectrogram import MelSpectrogram as MelSpectrogram
from torchkeras.layers.preprocessing.audio.stft_spectrogram import STFTSpectrogram as STFTSpectrogram
from torchkeras.layers.preprocessing.image.affine import RandomRotation as RandomRotation
from torchkeras.layers.preprocessing.image.affine import RandomShear as RandomShear
from torchkeras.layers.preprocessing.image.affine import RandomTranslation as RandomTranslation
from torchkeras.layers.preprocessing.image.affine import RandomZoom as RandomZoom
from torchkeras.layers.preprocessing.image.blur import RandomGaussianBlur as RandomGaussianBlur
from torchkeras.layers.preprocessing.image.crop import CenterCrop as CenterCrop
from torchkeras.layers.preprocessing.image.crop import RandomCrop as RandomCrop
from torchkeras.layers.preprocessing.image.elastic import RandomElasticTransform as RandomElasticTransform
from torchkeras.layers.preprocessing.image.erasing import RandomErasing as RandomErasing
from torchkeras.layers.preprocessing.image.flip import RandomFlip as RandomFlip
from torchkeras.layers.preprocessing.image.max_num_bounding_boxes import MaxNumBoundingBoxes as MaxNumBoundingBoxes
from torchkeras.layers.preprocessing.image.perspective import RandomPerspective as RandomPerspective
from torchkeras.layers.preprocessing.image.resizing import Resizing as Resizing
from torchkeras.layers.preprocessing.image.color import RandomColorDegeneration as RandomColorDegeneration
from torchkeras.layers.preprocessing.image.color import RandomColorJitter as RandomColorJitter
from torchkeras.layers.preprocessing.image.color import RandomGrayscale as RandomGrayscale
from torchkeras.layers.preprocessing.image.color import RandomHue as RandomHue
from torchkeras.layers.preprocessing.image.color import RandomSaturation as RandomSaturation
from torchkeras.layers.preprocessing.image.histograms import AutoContrast as AutoContrast
from torchkeras.layers.preprocessing.image.histograms import (
    ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization,
)
from torchkeras.layers.preprocessing.image.histograms import Equalization as Equalization
from torchkeras.layers.preprocessing.image.light import RandomBrightness as RandomBrightness
from torchkeras.layers.preprocessing.image.light import RandomContrast as RandomContrast
from torchkeras.layers.preprocessing.image.light import RandomInvert as RandomInvert
from torchkeras.layers.preprocessing.image.light import RandomPosterization as RandomPosterization
from torchkeras.layers.preprocessing.image.light import Solarization as Solarization
from torchkeras.layers.preprocessing.image.mixing import CutMix as CutMix
from torchkeras.layers.preprocessing.image.mixing import MixUp as MixUp
from torchkeras.layers.preprocessing.image.mixing import Mosaic as Mosaic
from torchkeras.layers.preprocessing.image.policies import AugMix as AugMix
from torchkeras.layers.preprocessing.image.policies import RandAugment as RandAugment
from torchkeras.layers.preprocessing.image.sharpness import RandomSharpness as RandomSharpness
from torchkeras.layers.preprocessing.pipeline import Pipeline as Pipeline
from torchkeras.layers.preprocessing.text.hashed_crossing import HashedCrossing as HashedCrossing
from torchkeras.layers.preprocessing.text.hashing import Hashing as Hashing
from torchkeras.layers.preprocessing.text.integer_lookup import IntegerLookup as IntegerLookup
from torchkeras.layers.preprocessing.text.string_lookup import StringLookup as StringLookup
from torchkeras.layers.preprocessing.text.text_vectorization import TextVectorization as TextVectorization
from torchkeras.layers.preprocessing.rescaling import Rescaling as Rescaling

# attention
from torchkeras.layers.attention.attention import AdditiveAttention as AdditiveAttention
from torchkeras.layers.attention.attention import Attention as Attention
from torchkeras.layers.attention.grouped_query_attention import GroupedQueryAttention as GroupedQueryAttention
from torchkeras.layers.attention.grouped_query_attention import GroupQueryAttention as GroupQueryAttention
from torchkeras.layers.attention.multi_head_attention import MultiHeadAttention as MultiHeadAttention

# recurrent
from torchkeras.layers.recurrent.bidirectional import Bidirectional as Bidirectional
from torchkeras.layers.recurrent.conv_lstm import ConvLSTM1D as ConvLSTM1D
from torchkeras.layers.recurrent.conv_lstm import ConvLSTM2D as ConvLSTM2D
from torchkeras.layers.recurrent.conv_lstm import ConvLSTM3D as ConvLSTM3D
from torchkeras.layers.recurrent.gru import GRU as GRU
from torchkeras.layers.recurrent.gru import GRUCell as GRUCell
from torchkeras.layers.recurrent.lstm import LSTM as LSTM
from torchkeras.layers.recurrent.lstm import LSTMCell as LSTMCell
from torchkeras.layers.recurrent.rnn import RNN as RNN
from torchkeras.layers.recurrent.simple_rnn import SimpleRNN as SimpleRNN
from torchkeras.layers.recurrent.simple_rnn import SimpleRNNCell as SimpleRNNCell
from torchkeras.layers.recurrent.stacked_cells import StackedRNNCells as StackedRNNCells
from torchkeras.layers.recurrent.time_distributed import TimeDistributed as TimeDistributed

# to configs and back
from torchkeras.layers.serialization import deserialize as deserialize
from torchkeras.layers.serialization import serialize as serialize
