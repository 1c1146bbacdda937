"""Where Keras keeps its networks and datasets: module below `keras.src` (3.15) to the public names in it.

A row reads like imports: `namespace: name, name as other` (`*`: all public names; no namespace: the top level).
"""

NETWORKS: dict[str, str] = {
    "applications.convnext": (
        "applications.convnext: ConvNeXtBase, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny, ConvNeXtXLarge, "
        "decode_predictions, preprocess_input"
    ),
    "applications.densenet": (
        "applications.densenet: DenseNet121, DenseNet169, DenseNet201, decode_predictions, preprocess_input"
    ),
    "applications.efficientnet": (
        "applications.efficientnet: EfficientNetB0, EfficientNetB1, EfficientNetB2, EfficientNetB3, "
        "EfficientNetB4, EfficientNetB5, EfficientNetB6, EfficientNetB7, decode_predictions, preprocess_input"
    ),
    "applications.efficientnet_v2": (
        "applications.efficientnet_v2: EfficientNetV2B0, EfficientNetV2B1, EfficientNetV2B2, EfficientNetV2B3, "
        "EfficientNetV2L, EfficientNetV2M, EfficientNetV2S, decode_predictions, preprocess_input"
    ),
    "applications.imagenet_utils": "applications.imagenet_utils: decode_predictions, preprocess_input",
    "applications.inception_resnet_v2": (
        "applications.inception_resnet_v2: InceptionResNetV2, decode_predictions, preprocess_input"
    ),
    "applications.inception_v3": "applications.inception_v3: InceptionV3, decode_predictions, preprocess_input",
    "applications.mobilenet": "applications.mobilenet: MobileNet, decode_predictions, preprocess_input",
    "applications.mobilenet_v2": "applications.mobilenet_v2: MobileNetV2, decode_predictions, preprocess_input",
    "applications.mobilenet_v3": (
        "applications: MobileNetV3Large, MobileNetV3Small; applications.mobilenet_v3: decode_predictions, "
        "preprocess_input"
    ),
    "applications.nasnet": "applications.nasnet: NASNetLarge, NASNetMobile, decode_predictions, preprocess_input",
    "applications.resnet": (
        "applications.resnet: ResNet101, ResNet152, ResNet50, decode_predictions, preprocess_input"
    ),
    "applications.resnet_v2": (
        "applications.resnet_v2: ResNet101V2, ResNet152V2, ResNet50V2, decode_predictions, preprocess_input"
    ),
    "applications.vgg16": "applications.vgg16: VGG16, decode_predictions, preprocess_input",
    "applications.vgg19": "applications.vgg19: VGG19, decode_predictions, preprocess_input",
    "applications.xception": "applications.xception: Xception, decode_predictions, preprocess_input",
    "datasets.boston_housing": "datasets.boston_housing: load_data",
    "datasets.california_housing": "datasets.california_housing: load_data",
    "datasets.cifar10": "datasets.cifar10: load_data",
    "datasets.cifar100": "datasets.cifar100: load_data",
    "datasets.fashion_mnist": "datasets.fashion_mnist: load_data",
    "datasets.imdb": "datasets.imdb: get_word_index, load_data",
    "datasets.mnist": "datasets.mnist: load_data",
    "datasets.reuters": "datasets.reuters: get_label_names, get_word_index, load_data",
}
